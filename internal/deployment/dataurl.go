package deployment

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// isDataURL reports whether s is a data: URL (RFC 2397).
func isDataURL(s string) bool {
	return len(s) >= 5 && strings.EqualFold(s[:5], "data:")
}

// decodeDataURL gives the body of a data: URL of any media type. Percent signs
// that begin no escape stand for themselves, base64 may be unpadded and hold
// blanks (Fetch standard, "data: URL processor").
func decodeDataURL(s string) ([]byte, error) {
	mediaType, body, found := strings.Cut(s[len("data:"):], ",")
	if !found {
		return nil, errors.New("no comma")
	}
	body, _, _ = strings.Cut(body, "#")
	body = unescape(body)
	mediaType = strings.TrimRight(mediaType, " ")
	at := strings.LastIndexByte(mediaType, ';')
	if at < 0 || !strings.EqualFold(strings.TrimLeft(mediaType[at+1:], " "), "base64") {
		return []byte(body), nil
	}
	body = strings.NewReplacer(" ", "", "\t", "", "\n", "", "\f", "", "\r", "").Replace(body)
	if len(body)%4 == 0 {
		body = strings.TrimSuffix(strings.TrimSuffix(body, "="), "=")
	}
	return base64.RawStdEncoding.DecodeString(body)
}

func unescape(s string) string {
	if whole, err := url.PathUnescape(s); err == nil {
		return whole
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if one, err := url.PathUnescape(s[i : i+3]); err == nil {
				out.WriteString(one)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
