// Command manager runs one of the two roles of Mooring in a cluster: --role=controller
// reconciles resources and faces nobody, --role=gateway faces the network and may
// neither approve, nor issue, nor change a pin. One role per process: their rights and
// their caches differ.
package main
