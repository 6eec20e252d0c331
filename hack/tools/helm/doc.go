// Package chart tries charts/mooring with the library of Helm, which is a module of its own so
// that nothing of the product depends on it.
package chart
