package value

import (
	"encoding/base32"
	"encoding/binary"

	"github.com/berthdev/berth/internal/fault"
)

// crockford is the alphabet of document ids: Crockford's, in lower case.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// FormatID returns the text of a document id: the number of its table (from 1),
// 16 bytes of its own, and a checksum, in base32 (31 to 37 characters).
func FormatID(table uint32, own [16]byte) string {
	b := binary.AppendUvarint(nil, uint64(table))
	b = append(b, own[:]...)
	b = binary.LittleEndian.AppendUint16(b, fletcher16(b))
	return crockford.EncodeToString(b)
}

// ParseID reads what FormatID wrote, and nothing else.
func ParseID(id string) (table uint32, own [16]byte, err error) {
	bad := fault.New(fault.Invalid, "Unable to decode ID").WithCode("InvalidId")
	if len(id) < 31 || len(id) > 37 {
		return 0, own, bad
	}
	b, err := crockford.DecodeString(id)
	if err != nil {
		return 0, own, bad
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n == 0 || n > 1<<32-1 || len(b) != used+16+2 {
		return 0, own, bad
	}
	copy(own[:], b[used:])
	if FormatID(uint32(n), own) != id {
		return 0, own, bad
	}
	return uint32(n), own, nil
}

// fletcher16 is the Fletcher checksum with modulus 256 (RFC 1145 appendix I).
func fletcher16(data []byte) uint16 {
	var a, b uint8
	for _, c := range data {
		a += c
		b += a
	}
	return uint16(b)<<8 | uint16(a)
}
