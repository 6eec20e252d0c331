// Package chart tests charts/mooring with the library of Helm. It is a separate module so that the
// product does not depend on Helm.
package chart
