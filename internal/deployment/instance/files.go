package instance

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// storageTable has one document per file: sha256 (hexadecimal), size in bytes
// and, when it is known, contentType.
const storageTable = "_storage"

// MaxFile bounds a file, in bytes. Files are kept in the database.
const MaxFile = 100 << 20

// uploadFor is how long an upload URL may be used, as on Convex.
const uploadFor = time.Hour

// File is one stored file.
type File struct {
	ID          string
	ContentType string // "" when it is not known
	SHA256      string // hexadecimal
	Size        int64
	Bytes       []byte
}

// StoreFile keeps a file and returns its id. sum is the SHA-256 that the bytes
// must have, in hexadecimal, or "".
func (i *Instance) StoreFile(ctx context.Context, contentType string, data []byte, sum string) (string, error) {
	if err := checkSum(data, &sum); err != nil {
		return "", err
	}
	tx := i.data.Begin()
	id, err := i.storeIn(ctx, tx, contentType, data)
	if err == nil {
		_, err = i.data.Commit(ctx, tx)
	}
	return id, err
}

// storeIn writes the bytes and, in the transaction, the document. Bytes whose
// transaction comes to nothing are swept when the deployment is opened again.
func (i *Instance) storeIn(ctx context.Context, tx *database.Tx, contentType string, data []byte) (string, error) {
	if len(data) > MaxFile {
		return "", fault.New(fault.Invalid, "the file is larger than %d bytes", MaxFile).WithCode("FileTooLarge")
	}
	sum := sha256.Sum256(data)
	fields := value.Object{"sha256": hex.EncodeToString(sum[:]), "size": float64(len(data))}
	if contentType != "" {
		fields["contentType"] = contentType
	}
	id, err := tx.InsertSystem(storageTable, fields)
	if err != nil {
		return "", err
	}
	return id, i.cfg.DB.PutFile(ctx, i.deployment.ID, id, data)
}

// describe returns what a transaction sees of a file, or nil.
func describe(tx *database.Tx, id string) (*File, error) {
	if tx.TableOf(id) != storageTable {
		return nil, nil
	}
	d, err := tx.Get(id)
	if err != nil || d == nil {
		return nil, err
	}
	fields := d.Fields()
	f := &File{ID: id}
	f.SHA256, _ = fields["sha256"].(string)
	f.ContentType, _ = fields["contentType"].(string)
	size, _ := fields["size"].(float64)
	f.Size = int64(size)
	return f, nil
}

// File returns a file with its bytes, or nil.
func (i *Instance) File(ctx context.Context, id string) (*File, error) {
	f, err := describe(i.data.Begin(), id)
	if err != nil || f == nil {
		return nil, err
	}
	f.Bytes, err = i.cfg.DB.File(ctx, i.deployment.ID, id)
	if fault.Is(err, fault.NotFound) {
		return nil, nil // deleted meanwhile
	}
	return f, err
}

// dropFiles removes the bytes of files whose documents a commit removed.
func (i *Instance) dropFiles(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	tx := i.data.Begin()
	var gone []string
	for _, id := range ids {
		// A nested mutation that failed took its part back.
		if f, err := describe(tx, id); err == nil && f == nil {
			gone = append(gone, id)
		}
	}
	return i.cfg.DB.DeleteFiles(context.WithoutCancel(ctx), i.deployment.ID, gone)
}

// uploadToken lets whoever has it upload one file until it expires.
func (i *Instance) uploadToken() string {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:8], uint64(i.cfg.DB.Now().Add(uploadFor).Unix())) //nolint:gosec // after 1970
	_, _ = rand.Read(b[8:])                                                         // crypto/rand never fails
	return base64.RawURLEncoding.EncodeToString(append(b[:], i.uploadMAC(b[:])...))
}

func (i *Instance) uploadMAC(b []byte) []byte {
	return i.cfg.DB.Box().Authenticator("file upload").Sum([]byte(i.deployment.ID), b)
}

// CheckUpload refuses an upload token that is not the deployment's or expired.
func (i *Instance) CheckUpload(token string) error {
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) != 24+sha256.Size || subtle.ConstantTimeCompare(data[24:], i.uploadMAC(data[:24])) != 1 {
		return fault.New(fault.Unauthenticated, "The upload URL is not one of this deployment.").WithCode("StorageTokenInvalid")
	}
	if uint64(i.cfg.DB.Now().Unix()) >= binary.BigEndian.Uint64(data[:8]) { //nolint:gosec // after 1970
		return fault.New(fault.Unauthenticated, "The upload URL has expired. Generate another one.").WithCode("StorageTokenExpired")
	}
	return nil
}

// storage answers the calls of ctx.storage within a transaction. gone collects
// the files that it deletes.
func (i *Instance) storage(ctx context.Context, tx *database.Tx, gone *[]string, op string, args []byte) ([]byte, error) {
	a, err := parsed[struct {
		StorageID   any     `json:"storageId"`
		Blob        string  `json:"blob"` // base64
		ContentType string  `json:"contentType"`
		SHA256      *string `json:"sha256"`
	}](op, args)
	if err != nil {
		return nil, err
	}
	id, _ := a.StorageID.(string)
	cloud, _ := i.URLs()
	switch op {
	case "1.0/storageGenerateUploadUrl":
		return json.Marshal(cloud + "/api/storage/upload?token=" + i.uploadToken())
	case "1.0/storageStore":
		data, err := base64.StdEncoding.DecodeString(a.Blob)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%s: the bytes cannot be read", op)
		}
		if err := checkSum(data, a.SHA256); err != nil {
			return nil, err
		}
		id, err := i.storeIn(ctx, tx, a.ContentType, data)
		if err != nil {
			return nil, err
		}
		return json.Marshal(id)
	}
	f, err := describe(tx, id)
	if err != nil {
		return nil, err
	}
	switch op {
	case "1.0/storageGetUrl":
		if f == nil {
			return []byte("null"), nil
		}
		return json.Marshal(cloud + "/api/storage/" + id)
	case "1.0/storageGetMetadata":
		if f == nil {
			return []byte("null"), nil
		}
		return json.Marshal(map[string]any{"storageId": id, "sha256": f.SHA256, "size": f.Size, "contentType": known(f.ContentType)})
	case "1.0/storageGet":
		if f == nil {
			return []byte("null"), nil
		}
		data, err := i.cfg.DB.File(ctx, i.deployment.ID, id)
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"blob": base64.StdEncoding.EncodeToString(data), "contentType": known(f.ContentType)})
	case "1.0/storageDelete":
		if f == nil {
			return nil, fault.New(fault.Invalid, "storage id %v not found", value.Text(a.StorageID))
		}
		_, err := tx.Delete(id)
		*gone = append(*gone, id)
		return []byte("null"), err
	}
	return nil, unsupported(op)
}

func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// checkSum compares bytes with a SHA-256 in hexadecimal or base64, if one is asked for.
func checkSum(data []byte, want *string) error {
	if want == nil || *want == "" {
		return nil
	}
	sum := sha256.Sum256(data)
	if strings.EqualFold(*want, hex.EncodeToString(sum[:])) || *want == base64.StdEncoding.EncodeToString(sum[:]) {
		return nil
	}
	return fault.New(fault.Invalid, "the SHA-256 of the file is %s, not %s", hex.EncodeToString(sum[:]), *want).WithCode("Sha256Mismatch")
}

// blob answers the calls of an action that move the bytes of files.
func (i *Instance) blob(ctx context.Context, op string, args []byte) ([]byte, error) {
	a, err := parsed[struct {
		StorageID any     `json:"storageId"`
		Type      string  `json:"type"`
		Body      string  `json:"body"` // hexadecimal
		SHA256    *string `json:"sha256"`
	}](op, args)
	if err != nil {
		return nil, err
	}
	if op == "getBlob" {
		id, _ := a.StorageID.(string)
		f, err := i.File(ctx, id)
		if err != nil || f == nil {
			return []byte("null"), err
		}
		return json.Marshal(map[string]any{"body": hex.EncodeToString(f.Bytes), "type": known(f.ContentType)})
	}
	data, err := hex.DecodeString(a.Body)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s: the bytes cannot be read", op)
	}
	sum := ""
	if a.SHA256 != nil {
		sum = *a.SHA256
	}
	id, err := i.StoreFile(ctx, a.Type, data, sum)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"storageId": id})
}
