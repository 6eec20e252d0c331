package identity

import (
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// generalNames lists the types of GeneralName in RFC 5280, section 4.2.1.6, by tag number.
var generalNames = [...]string{"otherName", "rfc822Name", "dNSName", "x400Address", "directoryName",
	"ediPartyName", "uniformResourceIdentifier", "iPAddress", "registeredID"}

const tagURI = 6

// parseSingleURI reads the content of a subjectAltName extension that must contain one
// uniformResourceIdentifier and nothing else, and returns it.
func parseSingleURI(san []byte) (string, error) {
	var names, value cryptobyte.String
	var tag cbasn1.Tag
	input := cryptobyte.String(san)
	if !input.ReadASN1(&names, cbasn1.SEQUENCE) || !input.Empty() || !names.ReadAnyASN1(&value, &tag) {
		return "", errors.New("subjectAltName must hold exactly one name")
	}
	if tag != cbasn1.Tag(tagURI).ContextSpecific() {
		return "", fmt.Errorf("subjectAltName holds a %s; only one URI is allowed", generalNameType(tag))
	}
	if !names.Empty() {
		var extra cryptobyte.String
		if !names.ReadAnyASN1(&extra, &tag) {
			return "", errors.New("subjectAltName is malformed after its URI")
		}
		return "", fmt.Errorf("subjectAltName holds a %s in addition to its URI; only one URI is allowed", generalNameType(tag))
	}
	return string(value), nil
}

func generalNameType(tag cbasn1.Tag) string {
	if number := int(tag & 0x1f); tag&0xc0 == 0x80 && number < len(generalNames) {
		return generalNames[number]
	}
	return fmt.Sprintf("name of unknown kind %#x", uint8(tag))
}

// parseCertificateID returns the id of a certificate whose only subject alternative name must be one
// URI.
func parseCertificateID(cert *x509.Certificate) (ID, error) {
	var san []byte
	count := 0
	for _, extension := range cert.Extensions {
		if extension.Id.Equal(oidSubjectAltName) {
			san = extension.Value
			count++
		}
	}
	if count != 1 {
		return ID{}, certificateErrorf(ReasonUnexpectedName, "%d subjectAltName extensions, want exactly one", count)
	}
	uri, err := parseSingleURI(san)
	if err != nil {
		return ID{}, certificateErrorf(ReasonUnexpectedName, "%v", err)
	}
	id, err := ParseID(uri)
	if err != nil {
		return ID{}, certificateErrorf(ReasonWrongIdentity, "%v", err)
	}
	return id, nil
}
