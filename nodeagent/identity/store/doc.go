// Package store keeps the files that a machine must neither lose nor show. They hold its private
// key and certificate chain, the gateways' CA bundle and addresses, and the state of an unfinished
// pairing.
//
// Layout of the identity directory (0700, every file 0600, owned by the agent's user):
//
//	identity.pem            private key (and the time it was made) and chain: present
//	                        once the machine is paired
//	identity.pem.previous   the previous content of identity.pem
//	trust.pem               CA bundle of the gateways
//	config.json             addresses of the node listener and the pairing listener
//	pairing.json            key, tries and request of an unfinished pairing
//	journal.db              see package journal
//	mediation.yaml          the user's policy of local mediation
//	capabilities.d          the user's own capabilities
//	run                     sockets of a running agent
//	lock                    held while an agent runs
//
// Every file is replaced whole: written under a random name, synced, renamed, directory synced.
// After a crash at any point a file holds either its old or its new content. The file identity.pem
// is written last, so a machine is paired if and only if it exists.
package store
