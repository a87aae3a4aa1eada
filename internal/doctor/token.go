package doctor

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"

	"github.com/berthdev/berth/internal/deployment"
)

// jwtShape finds tokens in any text: three base64url parts, the first an object.
var jwtShape = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+`)

// maxTokens bounds how many different tokens are looked at in one file.
const maxTokens = 1000

// FoundToken is a token in a text: a HAR file, a .env file, a log.
type FoundToken struct {
	Token   string             `json:"-"`
	Line    int                `json:"line"`
	Times   int                `json:"times"` // how often it is there
	Reading deployment.Reading `json:"reading"`
}

// TokensIn returns the different tokens of a text that can be read as JWTs with
// an issuer, the one that was issued last first.
func TokensIn(text []byte) []FoundToken {
	index := map[string]int{}
	var all []FoundToken
	line, from := 1, 0
	for _, at := range jwtShape.FindAllIndex(text, -1) {
		line += bytes.Count(text[from:at[0]], []byte{'\n'})
		from = at[0]
		token := string(text[at[0]:at[1]])
		if i, known := index[token]; known {
			all[i].Times++
			continue
		}
		if len(all) >= maxTokens {
			break
		}
		r := deployment.Read(token)
		if r.Problem != "" || r.Issuer == "" {
			continue
		}
		index[token] = len(all)
		all = append(all, FoundToken{Token: token, Line: line, Times: 1, Reading: r})
	}
	issued := func(f FoundToken) int64 {
		if f.Reading.IssuedAt == nil {
			return 0
		}
		return *f.Reading.IssuedAt
	}
	slices.SortStableFunc(all, func(a, b FoundToken) int { return cmp.Compare(issued(b), issued(a)) })
	return all
}
