package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

// readAccount returns the ServiceAccount token file and the CA that an agent in a pod pairs with;
// nil when neither flag is given.
func (f *flags) readAccount() (*enroll.ServiceAccount, error) {
	switch {
	case f.tokenFile == "" && f.gatewayCA == "":
		return nil, nil
	case f.tokenFile == "" || f.gatewayCA == "":
		return nil, errors.New("--service-account-token-file and --gateway-ca need each other: the token is shown only to a gateway of that CA")
	case f.code != "" || f.pair != "" || os.Getenv("MOORING_PAIRING_CODE") != "" || os.Getenv("MOORING_PAIR") != "":
		return nil, errors.New("--service-account-token-file replaces the code: leave out --code and --pair")
	case f.pairing == "":
		return nil, errors.New("--service-account-token-file needs --pairing HOST:PORT, the address of the gateways' pairing listener")
	}
	bundle, err := f.readCA()
	if err != nil {
		return nil, err
	}
	return &enroll.ServiceAccount{TokenFile: f.tokenFile, CA: bundle}, nil
}

// readCA reads the file of --gateway-ca.
func (f *flags) readCA() (identity.Bundle, error) {
	content, err := ownfile.Read(f.gatewayCA)
	if err != nil {
		return identity.Bundle{}, asFileError(fmt.Errorf("--gateway-ca: %w", err))
	}
	bundle, err := identity.ParseBundle(content)
	if err != nil {
		return identity.Bundle{}, fmt.Errorf("--gateway-ca %s: %w; give the file server-ca.crt of ConfigMap mooring-trust", f.gatewayCA, err)
	}
	return bundle, nil
}
