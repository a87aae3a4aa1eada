package project

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// bareHosts are build variables that hold a host without a scheme; fullURLs hold
// a URL with its scheme.
var (
	bareHosts = []string{"VERCEL_URL", "VERCEL_BRANCH_URL", "VERCEL_PROJECT_PRODUCTION_URL", "RAILWAY_PUBLIC_DOMAIN"}
	fullURLs  = []string{"URL", "DEPLOY_URL", "DEPLOY_PRIME_URL", "CF_PAGES_URL", "RENDER_EXTERNAL_URL"}
)

const debris = "<>\"'`[](){},;"

// mangled finds the URI inside what a chat or a mail program made of it.
var mangled = regexp.MustCompile("https?://[^\\s<>\"'`\\[\\](),;]+")

// checkURI says what is wrong with a URI template, to be read after the URI
// itself, and a better text when it can be told. origin asks for a bare origin.
// Expressions count as text that is right.
func checkURI(s string, origin bool) (problem, better string) {
	if s == "" {
		return "is empty", ""
	}
	trimmed := strings.TrimSpace(s)
	plainText := templateExpression.ReplaceAllString(trimmed, "x")
	switch {
	case strings.ContainsAny(plainText, debris):
		masked, restore := maskExpressions(trimmed)
		if found := mangled.FindString(masked); found != "" {
			better = restore(strings.TrimRight(found, ".:!?"))
		}
		return "holds characters that do not belong to it", better
	case trimmed != s:
		return "has white space around it", trimmed
	case strings.ContainsAny(s, " \t\r\n\\"):
		return "holds white space or a backslash", ""
	case strings.TrimRight(s, ".:!?") != s:
		return "ends in punctuation", strings.TrimRight(s, ".:!?")
	}
	if strings.HasPrefix(s, "${") {
		return checkLeadingExpression(s)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || strings.Contains(scheme, "/") {
		host := strings.TrimPrefix(s, "//")
		if isLoopbackURI("http://" + host) {
			return "has no scheme", "http://" + host
		}
		return "has no scheme", "https://" + host
	}
	if scheme != "http" && scheme != "https" {
		if origin || strings.Contains(scheme, "$") {
			return "is not an http or https address", ""
		}
		if lower := strings.ToLower(scheme); lower == "http" || lower == "https" {
			return "has its scheme in capitals", lower + "://" + rest
		}
		return "", "" // an app's own scheme, as in Expo
	}
	for _, v := range fullURLs {
		if ref := "${buildEnv." + v + "}"; strings.HasPrefix(rest, ref) {
			return "has two schemes: " + v + " holds one", rest
		}
	}
	u, err := url.Parse(templateExpression.ReplaceAllString(s, "x"))
	switch {
	case err != nil || u.Hostname() == "":
		return "is not a valid URI", ""
	case u.User != nil:
		return "holds a user name or password", ""
	case strings.Contains(s, "#"):
		before, _, _ := strings.Cut(s, "#")
		return "holds a fragment", before
	case origin && (u.Path != "" || u.RawQuery != ""):
		_, host, _ := strings.Cut(s, "://")
		host, _, _ = strings.Cut(host, "/")
		host, _, _ = strings.Cut(host, "?")
		return "is not an origin: it has a path", scheme + "://" + host
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return "has no valid port", ""
		}
	}
	return "", ""
}

var templateExpression = regexp.MustCompile(`\$\{[^}]*\}`)

func checkLeadingExpression(s string) (problem, better string) {
	for _, v := range bareHosts {
		if strings.HasPrefix(s, "${buildEnv."+v+"}") {
			return "has no scheme: " + v + " holds a host only", "https://" + s
		}
	}
	return "", "" // the variable may well hold a URL
}

// maskExpressions replaces the expressions of s by words that survive a search
// for a URI, and gives the function that puts them back.
func maskExpressions(s string) (string, func(string) string) {
	var exprs []string
	masked := templateExpression.ReplaceAllStringFunc(s, func(e string) string {
		exprs = append(exprs, e)
		return "\x01" + strconv.Itoa(len(exprs)-1) + "\x02"
	})
	return masked, func(t string) string {
		for i, e := range exprs {
			t = strings.ReplaceAll(t, "\x01"+strconv.Itoa(i)+"\x02", e)
		}
		return t
	}
}

func isLoopbackURI(s string) bool {
	u, err := url.Parse(templateExpression.ReplaceAllString(s, "x"))
	if err != nil {
		return false
	}
	h := strings.ToLower(u.Hostname())
	return h == "localhost" || strings.HasSuffix(h, ".localhost") || h == "::1" || strings.HasPrefix(h, "127.")
}

// redactURI hides a password inside a URI that is about to be shown.
func redactURI(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
		return scheme + "://[secret]" + rest[at:]
	}
	return s
}
