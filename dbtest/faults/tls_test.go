package faults_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otelpool/otelpool/dbtest/server"
)

// untrusted is the fault of a server with a self-signed certificate.
var untrusted = row{
	to: func(s backend) target { return target{params: s.params("tls=true", "sslmode=verify-full")} },
	play: func(st *stage) {
		st.until("the server has TLS", func() bool { return st.count(st.hasTLS()) == 1 })
		ping(st)
	},
	want: outcomes{
		"mysql": {`
ping: *tls.CertificateVerificationError
failed connect *tls.CertificateVerificationError tls
`},
		"pgx": {`
ping: *pgconn.ConnectError
failed connect *pgconn.ConnectError tls
`},
		"postgres": {`
ping: *tls.CertificateVerificationError
failed connect *tls.CertificateVerificationError tls
`},
	},
}

func TestTLS_AnUntrustedCertificateIsClassified(t *testing.T) {
	cert, key := certificate(t)
	// The server often runs as another user, who cannot enter the test's own temporary
	// folder.
	dir, err := os.MkdirTemp("", "otelpool-tls-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string]string{certFile: cert, keyFile: key} {
		// The key is not secret.
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mariadb := server.NewShared(startMariaDB, "--ssl-cert="+certFile, "--ssl-key="+keyFile)
	// PostgreSQL accepts only a key that it owns and no other user can read, so it has to
	// write the files itself.
	postgres := server.NewShared(func(args ...string) (*server.Instance, error) {
		return started(server.StartPostgreSQL, args, "pgx",
			written("server.crt", cert), written("server.key", key), "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
	})
	t.Cleanup(func() {
		for _, s := range []*server.Shared{mariadb, postgres} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for _, s := range backends {
		t.Run(s.driver, func(t *testing.T) {
			if s.shared = postgres; s.driver == "mysql" {
				s.shared = mariadb
			}
			untrusted.run(t, s)
		})
	}
}

// written returns a statement that makes PostgreSQL write a file into its folder.
func written(file, text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("COPY (SELECT unnest(ARRAY['%s'])) TO PROGRAM 'umask 077; cat > %s'", strings.Join(lines, "', '"), file)
}

// hasTLS returns a statement that returns 1 if the server has TLS, and 0 otherwise.
func (s backend) hasTLS() string {
	if s.driver == "mysql" {
		return "SELECT COUNT(*) FROM information_schema.global_variables WHERE variable_name = 'have_ssl' AND variable_value = 'YES'"
	}
	return "SELECT COUNT(*) FROM pg_settings WHERE name = 'ssl' AND setting = 'on'"
}

// certificate makes a certificate for the loopback address, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "untrusted"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
