package cli

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

// Variables that say how a server sends the mail of production environments.
const (
	smtpURLVar      = "BERTH_SMTP_URL"      // may hold the password
	smtpPasswordVar = "BERTH_SMTP_PASSWORD" // where the URL does not
	mailFromVar     = "BERTH_MAIL_FROM"
)

// mailFlags win over the variables. None of them takes a password: other
// people of the machine see the command line.
type mailFlags struct {
	url          string
	passwordFile string
	from         string
}

func (m *mailFlags) register(f *pflag.FlagSet) {
	f.StringVar(&m.url, "smtp-url", "", "relay for the mail of production environments, smtp://USER@HOST:587 or smtps:// `URL` (default: "+smtpURLVar+")")
	f.StringVar(&m.passwordFile, "smtp-password-file", "", "file with the password for it `FILE` (default: "+smtpPasswordVar+")")
	f.StringVar(&m.from, "mail-from", "", "sender of that mail `ADDRESS` (default: "+mailFromVar+")")
}

// args are the flags for a server in the background, whose folder is another.
func (m *mailFlags) args() []string {
	var args []string
	if m.url != "" {
		args = append(args, "--smtp-url", m.url)
	}
	if m.passwordFile != "" {
		path, err := filepath.Abs(m.passwordFile)
		if err != nil {
			path = m.passwordFile
		}
		args = append(args, "--smtp-password-file", path)
	}
	if m.from != "" {
		args = append(args, "--mail-from", m.from)
	}
	return args
}

// check refuses a password in --smtp-url before it goes any further.
func (m *mailFlags) check() error {
	u, err := url.Parse(m.url)
	if err != nil { // the error would hold it
		return fault.New(fault.Invalid, "--smtp-url cannot be read").WithFix("write it as smtp://USER@HOST:587").WithCode("smtp_url_invalid")
	}
	if _, has := u.User.Password(); has {
		return fault.New(fault.Invalid, "--smtp-url holds a password, which others on this machine can see").
			WithFix("change that password, then put it into %s or a file for --smtp-password-file", smtpPasswordVar).WithCode("smtp_password_visible")
	}
	return nil
}

// smtp joins flags and variables.
func (m *mailFlags) smtp(env *Env) (server.SMTP, error) {
	if err := m.check(); err != nil {
		return server.SMTP{}, err
	}
	c := server.SMTP{URL: secret.String(env.get(smtpURLVar)), Password: secret.String(env.get(smtpPasswordVar)), From: env.get(mailFromVar)}
	if m.url != "" {
		c.URL = secret.String(m.url)
	}
	if m.from != "" {
		c.From = m.from
	}
	if m.passwordFile != "" {
		data, err := os.ReadFile(m.passwordFile)
		if err != nil {
			return c, fault.Wrap(err, fault.Invalid, "cannot read %s", m.passwordFile).WithFix("--smtp-password-file names a file that holds the password and nothing else")
		}
		c.Password = secret.String(strings.TrimRight(string(data), "\r\n"))
	}
	return c, nil
}
