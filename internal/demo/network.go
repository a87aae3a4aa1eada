package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Authority is a certificate authority that lives in memory and vouches for
// the demo's hosts. Nothing outside this process trusts it.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// NewAuthority makes an authority. Its certificates hold for a day from now.
func NewAuthority(now func() time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Berth demo"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
		// Even if somebody trusted it: it can speak for no real host (RFC 2606 section 2).
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, now: now}, nil
}

func serial() *big.Int {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return new(big.Int).SetBytes(b[:])
}

// certificate returns a certificate for hosts.
func (a *Authority) certificate(hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Berth demo app"}, DNSNames: hosts,
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Network leads the demo's host names to listeners on this machine. It is safe
// for concurrent use.
type Network struct {
	transport *http.Transport
	mu        sync.Mutex
	hosts     map[string]string // host name to loopback address with port
}

// NewNetwork returns a network whose https hosts are vouched for by ca.
func NewNetwork(ca *Authority) *Network {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	n := &Network{hosts: map[string]string{}}
	n.transport = &http.Transport{
		Proxy: nil, DialContext: n.dial, TLSClientConfig: &tls.Config{RootCAs: pool, Time: ca.now},
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 20 * time.Second, IdleConnTimeout: 10 * time.Second,
	}
	return n
}

// Route leads port 443 of the hosts to addr.
func (n *Network) Route(addr string, hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, host := range hosts {
		n.hosts[host] = addr
	}
}

// Close ends idle connections.
func (n *Network) Close() { n.transport.CloseIdleConnections() }

func (n *Network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	to, known := n.hosts[strings.ToLower(host)]
	n.mu.Unlock()
	switch ip, _ := netip.ParseAddr(host); {
	case known && port == "443":
		addr = to
	case ip.IsLoopback():
	case host == "localhost":
		addr = net.JoinHostPort("127.0.0.1", port)
	default:
		return nil, fault.New(fault.Denied, "the demo stays on this machine and does not call %s", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
