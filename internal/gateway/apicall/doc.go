// Package apicall holds the rules for requests of a gateway to the API server: the time limit, the
// pauses between attempts, and the classes of refusals.
package apicall
