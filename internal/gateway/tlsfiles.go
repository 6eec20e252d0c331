package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File names in --tls-dir, as in a Secret of type kubernetes.io/tls.
const (
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
	// currentFolder holds the files where a second chain may exist next to the first one.
	currentFolder = "current"
)

// maxFileBytes bounds the size of each file.
const maxFileBytes = 256 << 10

// tlsFiles holds the content of the two files.
type tlsFiles struct{ certificate, key []byte }

func (f tlsFiles) equal(other tlsFiles) bool {
	return bytes.Equal(f.certificate, other.certificate) && bytes.Equal(f.key, other.key)
}

// readTLSFiles reads the pair from dir/current, or from dir itself. The kubelet and our own tools
// swap a symlink, so the two files may have different ages for a moment. The pair then does not
// match and is read again later.
func readTLSFiles(dir string) (tlsFiles, error) {
	folder := filepath.Join(dir, currentFolder)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		folder = dir
	}
	certificate, err := readBounded(filepath.Join(folder, certificateFile))
	if err != nil {
		return tlsFiles{}, err
	}
	key, err := readBounded(filepath.Join(folder, keyFile))
	if err != nil {
		return tlsFiles{}, err
	}
	return tlsFiles{certificate: certificate, key: key}, nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return os.ReadFile(path)
}

// parseKeyPair parses the files. Its errors never contain their content.
func (f tlsFiles) parseKeyPair() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}

// appendCA appends the CA that signed the end of the chain. cert-manager leaves the CA out, and a
// machine that knows only the pin of a QR code needs it. appendCA returns false when none of the CAs
// fits.
func appendCA(pair *tls.Certificate, cas []*x509.Certificate) (*tls.Certificate, bool) {
	last, err := x509.ParseCertificate(pair.Certificate[len(pair.Certificate)-1])
	if err != nil {
		return nil, false
	}
	for _, ca := range cas {
		if bytes.Equal(last.Raw, ca.Raw) {
			return pair, true
		}
		if last.CheckSignatureFrom(ca) == nil {
			complete := *pair
			complete.Certificate = append(append([][]byte{}, pair.Certificate...), ca.Raw)
			return &complete, true
		}
	}
	return nil, false
}
