package syncws

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/berthdev/berth/internal/deployment/database"
)

// fromClient is any message of a client; Type says which members count.
type fromClient struct {
	Type string `json:"type"`

	// Connect
	SessionID string   `json:"sessionId"`
	ClientTS  *float64 `json:"clientTs"`
	// Authenticate
	BaseVersion   uint32          `json:"baseVersion"`
	TokenType     string          `json:"tokenType"` // User, Admin, None
	Value         string          `json:"value"`
	Impersonating json.RawMessage `json:"impersonating"`
	// ModifyQuerySet
	NewVersion    uint32         `json:"newVersion"`
	Modifications []modification `json:"modifications"`
	// Mutation, Action
	RequestID uint32          `json:"requestId"`
	UDFPath   string          `json:"udfPath"`
	Args      json.RawMessage `json:"args"`
}

type modification struct {
	Type    string          `json:"type"` // Add, Remove
	QueryID uint32          `json:"queryId"`
	UDFPath string          `json:"udfPath"`
	Args    json.RawMessage `json:"args"`
	Journal *string         `json:"journal"`
}

// timestamp is written as base64 of 8 bytes, little endian.
type timestamp database.Timestamp

// MarshalText implements [encoding.TextMarshaler].
func (t timestamp) MarshalText() ([]byte, error) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(t))
	return base64.StdEncoding.AppendEncode(nil, b[:]), nil
}

// response answers a mutation or an action.
type response struct {
	Type      string          `json:"type"`
	RequestID uint32          `json:"requestId"`
	Success   bool            `json:"success"`
	Result    json.RawMessage `json:"result"`
	ErrorData json.RawMessage `json:"errorData,omitempty"`
	LogLines  []string        `json:"logLines"`
}

// mutationResponse has the commit's timestamp, null for a failure.
type mutationResponse struct {
	response
	TS *timestamp `json:"ts"`
}

type authError struct {
	Type                string `json:"type"` // AuthError
	Error               string `json:"error"`
	BaseVersion         uint32 `json:"baseVersion"`
	AuthUpdateAttempted bool   `json:"authUpdateAttempted"`
}

type fatalError struct {
	Type  string `json:"type"` // FatalError
	Error string `json:"error"`
}

type ping struct {
	Type string `json:"type"` // Ping
}

type chunk struct {
	Type         string `json:"type"` // TransitionChunk
	Chunk        string `json:"chunk"`
	PartNumber   int    `json:"partNumber"`
	TotalParts   int    `json:"totalParts"`
	TransitionID string `json:"transitionId"`
}
