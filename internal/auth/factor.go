package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/store"
)

// The parameters of codes (RFC 6238): authenticator apps know no others.
const (
	totpPeriod = 30 * time.Second
	totpDigits = otp.DigitsSix
	// totpSkew is how many steps a clock may be off (RFC 6238 section 5.2).
	totpSkew = 1
	// Bounds of a secret in bytes: RFC 4226 section 4 asks for 16, the protocol's
	// own examples have 10, and we make 20.
	minTOTPSecret, newTOTPSecretLength, maxTOTPSecret = 10, 20, 64
	// qrSize is the edge of the QR code image in pixels.
	qrSize = 256
	// maxTOTPName bounds issuer and account in bytes: they must fit into the code.
	maxTOTPName = 128
)

// Steps that ask for a second factor.
const (
	StepMFAEnrollment Step = "mfa_enrollment"
	StepMFAChallenge  Step = "mfa_challenge"
)

// secondFactor returns the step that asks for a second factor, or nil when none
// is missing. Single sign-on leaves this to the identity provider.
func (s *Service) secondFactor(ctx context.Context, e *store.Env, u identity.User, p *Pending) error {
	if p.SecondFactor || p.Method == "sso" {
		return nil
	}
	factors, err := e.VerifiedFactors(ctx, u.ID)
	if err != nil {
		return err
	}
	step := StepMFAChallenge
	if len(factors) == 0 {
		if !e.MFARequired {
			return nil
		}
		step = StepMFAEnrollment
	}
	err = s.stepUp(step, u, p)
	if up, ok := err.(*StepUp); ok {
		up.Factors = factors
	}
	return err
}

var base32Secret = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTPSecret returns a fresh secret in base32.
func NewTOTPSecret() secret.String {
	raw := make([]byte, newTOTPSecretLength)
	rand.Read(raw)
	return secret.String(base32Secret.EncodeToString(raw))
}

// CheckTOTPSecret returns the normal form of a secret that a caller brings.
func CheckTOTPSecret(text string) (secret.String, error) {
	text = strings.TrimRight(strings.ToUpper(strings.ReplaceAll(text, " ", "")), "=")
	raw, err := base32Secret.DecodeString(text)
	if err != nil || base32Secret.EncodeToString(raw) != text || len(raw) < minTOTPSecret || len(raw) > maxTOTPSecret {
		return "", fault.New(fault.Invalid, "totp_secret must be base32 of %d to %d bytes", minTOTPSecret, maxTOTPSecret).WithCode("invalid_totp_secret")
	}
	return secret.String(text), nil
}

// TOTPKey is what an authenticator app takes in.
type TOTPKey struct {
	URI secret.String // otpauth://totp/..., which the QR code shows
	QR  secret.String // data URL of a PNG
}

// KeyOf returns the key of a factor. withQR also draws it.
func KeyOf(f identity.Factor, withQR bool) (TOTPKey, error) {
	// A colon separates issuer and account in the label of the URI.
	clean := func(text, otherwise string) string {
		if text = strings.TrimSpace(strings.ReplaceAll(text, ":", " ")); text == "" {
			text = otherwise
		}
		// Apps take a plus for a plus, so blanks are %20. The library's own URIs
		// leave & as it is, which lets a name add parameters.
		return strings.ReplaceAll(url.QueryEscape(clip(text, maxTOTPName)), "+", "%20")
	}
	issuer := clean(f.Issuer, "Berth")
	uri := fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d", issuer, clean(f.Account, "account"),
		f.Secret.Reveal(), issuer, totpDigits.Length(), int(totpPeriod/time.Second))
	key := TOTPKey{URI: secret.String(uri)}
	if !withQR {
		return key, nil
	}
	k, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return key, fmt.Errorf("read the key of %s: it has no form that apps read", f.ID) // the error would quote the secret
	}
	image, err := k.Image(qrSize, qrSize)
	if err != nil {
		return key, fmt.Errorf("draw the QR code of %s: %w", f.ID, err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image); err != nil {
		return key, fmt.Errorf("encode the QR code of %s: %w", f.ID, err)
	}
	key.QR = secret.String("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()))
	return key, nil
}

// match finds the time step that a code belongs to, now or one step beside it.
// All are computed whatever matches, so that the time taken tells nothing.
func (s *Service) match(code string) store.Match {
	code = normalCode(code)
	now := s.db.Now().Unix() / int64(totpPeriod/time.Second)
	return func(totpSecret secret.String) (int64, bool) {
		step, found := int64(0), false
		for candidate := now - totpSkew; candidate <= now+totpSkew; candidate++ {
			want, err := hotp.GenerateCodeCustom(totpSecret.Reveal(), uint64(candidate), hotp.ValidateOpts{Digits: totpDigits, Algorithm: otp.AlgorithmSHA1})
			if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
				step, found = candidate, true
			}
		}
		return step, found
	}
}

// EnrollFactor makes a TOTP factor, which counts once a code of it was right,
// and its first challenge. An empty secret, issuer or account is filled in.
func (s *Service) EnrollFactor(ctx context.Context, e *store.Env, f identity.Factor) (identity.Factor, identity.Challenge, error) {
	if f.Secret == "" {
		f.Secret = NewTOTPSecret()
	}
	if f.Issuer == "" {
		f.Issuer = e.Name
	}
	return e.AddFactor(ctx, f)
}

// AnswerChallenge spends a challenge with a code.
func (s *Service) AnswerChallenge(ctx context.Context, e *store.Env, challengeID, code string) error {
	return e.AnswerChallenge(ctx, challengeID, s.match(code))
}

// TOTPGrant continues a sign-in with a code for a challenge of one of the
// user's factors. The first code of a factor enrolls it, but not beside a factor
// that is enrolled already: that one is asked for.
func (s *Service) TOTPGrant(ctx context.Context, e *store.Env, pendingToken, challengeID, code string, from Client) (*Tokens, error) {
	p, u, err := s.OpenPending(ctx, e, pendingToken)
	if err != nil {
		return nil, err
	}
	_, f, err := e.Challenge(ctx, challengeID)
	if err != nil {
		return nil, err
	}
	if f.UserID != u.ID {
		return nil, fault.New(fault.Invalid, "The authentication challenge belongs to another user.").WithCode("user_mismatch")
	}
	if f.VerifiedAt.IsZero() {
		enrolled, err := e.VerifiedFactors(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		if len(enrolled) > 0 {
			return nil, fault.New(fault.Invalid, "The authentication challenge is of a factor that is not enrolled, and the user has one that is.").WithCode("invalid_request")
		}
	}
	if err := s.AnswerChallenge(ctx, e, challengeID, code); err != nil {
		return nil, err
	}
	p.SecondFactor = true
	return s.complete(ctx, e, u, p, from)
}

// BeginEnrollment puts a secret for a new factor into a pending sign-in. It
// travels sealed with it and is stored only once a code proves that an app has it.
func (s *Service) BeginEnrollment(p *Pending) {
	if p.NewSecret == "" {
		p.NewSecret = NewTOTPSecret().Reveal()
	}
}

// NewFactor returns the factor that a pending sign-in is about to enroll.
func NewFactor(u identity.User, p *Pending, issuer string) identity.Factor {
	return identity.Factor{UserID: u.ID, Issuer: issuer, Account: u.Email, Secret: secret.String(p.NewSecret)}
}

// Enroll keeps the factor that BeginEnrollment began when the code is of it.
// Wrong codes need no count: who sees the page sees the secret.
func (s *Service) Enroll(ctx context.Context, e *store.Env, u identity.User, p *Pending, issuer, code string) error {
	if p.NewSecret == "" {
		return ErrFlow
	}
	f := NewFactor(u, p, issuer)
	step, ok := s.match(code)(f.Secret)
	if !ok {
		return fault.New(fault.Invalid, "The code is not right.").WithCode("invalid_one_time_code")
	}
	if _, err := e.AddFirstFactor(ctx, f, step); err != nil {
		return err
	}
	p.NewSecret, p.SecondFactor = "", true
	return nil
}

// AnswerPending checks a code against the factors of the user of a pending sign-in.
func (s *Service) AnswerPending(ctx context.Context, e *store.Env, u identity.User, p *Pending, code string) error {
	if err := e.AnswerFactors(ctx, u.ID, s.match(code)); err != nil {
		return err
	}
	p.SecondFactor = true
	return nil
}
