// Package store keeps what a machine must not lose or show: its private key and
// certificate chain, the CA bundle of the gateways, where its node listener is,
// and the state of a pairing that is not finished.
//
// Layout of the identity directory (0700, every file 0600, owned by the agent's user):
//
//	identity.pem            private key (and when it was made) and chain: present
//	                        once the machine is paired
//	identity.pem.previous   what identity.pem held before
//	trust.pem               CA bundle of the gateways
//	config.json             node id and addresses
//	pairing.json            key, tries and request of an unfinished pairing
//	journal.db              see package journal
//	mediation.yaml          the user's policy of local mediation
//	capabilities.d          the user's own capabilities
//	run                     sockets of a running agent
//	lock                    held while an agent runs
//
// Every file is replaced whole: written under a random name, synced, renamed,
// directory synced. After a crash at any point a file holds either its old or
// its new content. identity.pem is written last, so a machine is paired when,
// and only when, it exists.
package store
