// Command manager runs one of the two roles of Mooring in a cluster. --role=controller reconciles
// resources and serves no clients. --role=gateway faces the network and may neither approve, nor
// issue, nor change a pin. Each process has one role, because the rights and the caches of the
// roles differ.
package main
