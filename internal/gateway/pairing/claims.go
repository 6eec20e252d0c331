package pairing

import (
	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// machineClaims holds the checked claims of a machine in CompletePairingSession. The machine
// possesses the key, and every text fits the fields of a PairingRequest.
type machineClaims struct {
	publicKeyPEM    string
	publicKeySHA256 string
	nodeName        string
	system          *v1alpha1.SystemInfo
	capabilities    []string
}

// readMachineClaims checks the claims of a machine. Its statuses reveal nothing about any code.
func readMachineClaims(connection peer.Connection, request *gatewayv1.CompletePairingSessionRequest) (machineClaims, error) {
	key, err := identity.ParsePublicKeyDER(request.GetPublicKey())
	if err != nil {
		return machineClaims{}, invalidArgument("public_key: %v", err)
	}
	proof := identity.Proof{Method: identity.ProofCompletePairing, Exporter: connection.Exporter}
	if err := identity.VerifyProof(key, proof, request.GetProof()); err != nil {
		return machineClaims{}, errBadProof
	}
	text, err := identity.MarshalPublicKeyPEM(key)
	if err != nil {
		return machineClaims{}, err
	}
	if err := checkNodeName(request.GetNodeName()); err != nil {
		return machineClaims{}, err
	}
	capabilities, err := readCapabilities(request.GetRequestedCapabilities())
	if err != nil {
		return machineClaims{}, err
	}
	return machineClaims{
		publicKeyPEM:    string(text),
		publicKeySHA256: identity.FingerprintSPKIDER(request.GetPublicKey()),
		nodeName:        request.GetNodeName(),
		system:          peer.SystemInfo(request.GetSystem()),
		capabilities:    capabilities,
	}, nil
}

func checkNodeName(name string) error {
	if !identity.IsLabel(name) {
		return invalidArgument("node_name must be a DNS label: at most 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit")
	}
	return nil
}

// readCapabilities drops repetitions and rejects names that no capability can have.
func readCapabilities(names []string) ([]string, error) {
	if len(names) > capabilityname.MaxDeclared {
		return nil, invalidArgument("requested_capabilities has %d entries, at most %d are read", len(names), capabilityname.MaxDeclared)
	}
	seen := map[string]bool{}
	var unique []string
	for _, name := range names {
		if !capabilityname.Valid(name) {
			return nil, invalidArgument("requested_capabilities: every entry must be a lower-case dotted name such as system.health, at most %d characters", capabilityname.MaxBytes)
		}
		if !seen[name] {
			seen[name] = true
			unique = append(unique, name)
		}
	}
	return unique, nil
}
