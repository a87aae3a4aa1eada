// Package mailtest is an SMTP relay for tests: it listens on loopback, speaks
// STARTTLS with a certificate of its own and PLAIN authentication, and answers
// recipients as the test says.
package mailtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// Mail is a message that the relay took.
type Mail struct {
	From, To string // of the envelope
	Data     string // headers and body, with LF line ends
	TLS      bool   // it came over an encrypted connection
	User     string // who authenticated, "" for nobody
}

// Relay is a running SMTP server.
type Relay struct {
	Addr  string         // host:port
	Roots *x509.CertPool // trusts its certificate, which is for 127.0.0.1 and localhost
	PEM   []byte         // the certificate
	// Password is what PLAIN authentication must show. Set it before use;
	// "" takes mail from anybody.
	Password string
	// NoTLS leaves STARTTLS out. Set it before use.
	NoTLS bool

	certificate tls.Certificate
	listener    net.Listener
	mu          sync.Mutex
	refusals    []string // replies to the next RCPT commands
	mails       []Mail
	arrived     chan struct{}
	tries       int
	conns       map[net.Conn]bool
	serving     sync.WaitGroup
}

// New starts a relay that ends with the test. With implicit it begins with TLS.
func New(t testing.TB, implicit bool) *Relay {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Roots: x509.NewCertPool(), certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, arrived: make(chan struct{}, 1000),
		PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), conns: map[net.Conn]bool{}}
	r.Roots.AddCert(leaf)
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r.Addr = r.listener.Addr().String()
	if implicit {
		r.listener = tls.NewListener(r.listener, r.config())
	}
	r.serving.Go(func() {
		for {
			c, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns[c] = true
			r.mu.Unlock()
			r.serving.Go(func() {
				defer c.Close()
				r.converse(c, implicit)
			})
		}
	})
	t.Cleanup(func() {
		_ = r.listener.Close()
		r.mu.Lock()
		for c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.serving.Wait()
	})
	return r
}

func (r *Relay) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{r.certificate}}
}

// Refuse answers the next recipients with these replies, such as "451 later".
func (r *Relay) Refuse(replies ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals = append(r.refusals, replies...)
}

// Tries returns how many recipients were named so far.
func (r *Relay) Tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// Mails returns what was taken so far.
func (r *Relay) Mails() []Mail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Mail(nil), r.mails...)
}

// Next waits for a further mail and returns the newest.
func (r *Relay) Next(t testing.TB) Mail {
	t.Helper()
	select {
	case <-r.arrived:
	case <-time.After(20 * time.Second):
		t.Fatal("no mail reached the relay")
	}
	all := r.Mails()
	return all[len(all)-1]
}

// converse speaks RFC 5321 with one client.
func (r *Relay) converse(c net.Conn, encrypted bool) {
	text := textproto.NewConn(c)
	say := func(line string) bool { return text.PrintfLine("%s", line) == nil }
	if !say("220 relay ESMTP") {
		return
	}
	var m Mail
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		ok := true
		switch strings.ToUpper(verb) {
		case "EHLO", "HELO":
			ok = say("250-relay")
			if !encrypted && !r.NoTLS {
				ok = say("250-STARTTLS")
			}
			ok = ok && say("250-AUTH PLAIN") && say("250 8BITMIME")
		case "STARTTLS":
			if !say("220 go on") {
				return
			}
			upgraded := tls.Server(c, r.config())
			if upgraded.Handshake() != nil {
				return
			}
			c, encrypted, text = upgraded, true, textproto.NewConn(upgraded)
			say = func(line string) bool { return text.PrintfLine("%s", line) == nil }
		case "AUTH":
			plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			parts := strings.Split(string(plain), "\x00")
			if len(parts) != 3 || parts[2] != r.Password {
				ok = say("535 5.7.8 no")
				break
			}
			m.User = parts[1]
			ok = say("235 yes")
		case "MAIL":
			if r.Password != "" && m.User == "" {
				ok = say("530 5.7.0 who are you")
				break
			}
			m.From, m.TLS = address(rest), encrypted
			ok = say("250 ok")
		case "RCPT":
			m.To = address(rest)
			ok = say(r.recipient())
		case "DATA":
			if !say("354 go on") {
				return
			}
			data, err := io.ReadAll(bufio.NewReader(text.DotReader()))
			if err != nil {
				return
			}
			m.Data = string(data)
			r.mu.Lock()
			r.mails = append(r.mails, m)
			r.mu.Unlock()
			r.arrived <- struct{}{}
			ok = say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			ok = say("250 ok")
		}
		if !ok {
			return
		}
	}
}

func (r *Relay) recipient() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if len(r.refusals) == 0 {
		return "250 ok"
	}
	reply := r.refusals[0]
	r.refusals = r.refusals[1:]
	return reply
}

func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	addr, _, _ := strings.Cut(rest, ">")
	return addr
}
