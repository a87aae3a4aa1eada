package doctor

import (
	"slices"
	"strings"
	"testing"
)

const page = `"use client";
import Link from "next/link";
import * as React from "react";
import { AuthKitProvider, useAuth as auth } from "@workos-inc/authkit-react";
import { ConvexProviderWithAuthKit } from '@convex-dev/workos';

const convex = new ConvexReactClient(import.meta.env.VITE_CONVEX_URL as string);

export const runtime = "edge";
export const { GET, POST } = handlers();

export default function Page(props: { a?: string }) {
  const { user, getAccessToken } = auth();
  React.useEffect(() => {
    setInterval(() => getAccessToken({ forceRefresh: true }), 1000);
    for (;;) { void fetch(` + "`/x`" + `); }
  }, []);
  return (
    <AuthKitProvider clientId={process.env.NEXT_PUBLIC_WORKOS_CLIENT_ID!} {...props}>
      <ConvexProviderWithAuthKit client={convex} useAuth={auth}>
        <Link href="/sign-out" prefetch={false}>Sign out {user?.email}</Link>
      </ConvexProviderWithAuthKit>
    </AuthKitProvider>
  );
}
`

func TestSourceShowsWhatChecksLookAt(t *testing.T) {
	f, err := ParseSource("app/page.tsx", []byte(page))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Directives, []string{"use client"}) {
		t.Errorf("directives = %v", f.Directives)
	}
	if local, line := f.Imported("@workos-inc/authkit-react", "useAuth"); local != "auth" || line != 4 {
		t.Errorf("useAuth is imported as %q at line %d, want auth at 4", local, line)
	}
	if _, line := f.Imported("@convex-dev/workos", "ConvexProviderWithAuthKit"); line != 5 {
		t.Errorf("an import in single quotes is at line %d, want 5", line)
	}
	slices.Sort(f.Exports)
	if !slices.Equal(f.Exports, []string{"GET", "POST", "default", "runtime"}) {
		t.Errorf("exports = %v", f.Exports)
	}
	if len(f.Elements) != 3 {
		t.Fatalf("%d elements, want 3", len(f.Elements))
	}
	provider, convex, link := f.Elements[0], f.Elements[1], f.Elements[2]
	if provider.Type != (Ref{"@workos-inc/authkit-react", "AuthKitProvider"}) || !provider.Spread || provider.Line != 19 || provider.Parent != nil {
		t.Errorf("provider = %+v", provider)
	}
	if convex.Parent != provider || convex.Props["useAuth"].Ref != (Ref{"@workos-inc/authkit-react", "useAuth"}) {
		t.Errorf("convex = %+v", convex)
	}
	if link.Type != (Ref{"next/link", "default"}) || link.Props["href"].Text != "/sign-out" || link.Props["prefetch"].Source != "false" || link.Line != 21 || link.Parent != convex {
		t.Errorf("link = %+v", link)
	}
	var reads []string
	for _, r := range f.Reads {
		reads = append(reads, r.Name)
	}
	if !slices.Contains(reads, "VITE_CONVEX_URL") || !slices.Contains(reads, "NEXT_PUBLIC_WORKOS_CLIENT_ID") || len(reads) != 2 {
		t.Errorf("reads = %v", reads)
	}
	calls := map[string]*Call{}
	for _, c := range f.Calls {
		calls[c.Callee.Name] = c
	}
	if c := calls["useAuth"]; c == nil || c.Line != 13 || !slices.Equal(c.Within, []string{"Page"}) {
		t.Errorf("the call of useAuth = %+v", c)
	}
	if c := calls["getAccessToken"]; c == nil || !c.InLoop || !strings.Contains(c.Args[0].Source, "forceRefresh") {
		t.Errorf("the call in setInterval = %+v", c)
	}
	if c := calls["fetch"]; c == nil || !c.InLoop || c.Args[0].Text != "/x" {
		t.Errorf("the call in a loop = %+v", c)
	}
	if c := calls["ConvexReactClient"]; c == nil || !c.New || c.InLoop {
		t.Errorf("the construction = %+v", c)
	}
}

func TestTheExamplesCanBeRead(t *testing.T) {
	for _, app := range []string{"react-vite-authkit", "nextjs-authkit", "monorepo"} {
		s, err := ReadSource("../../examples/"+app, ".")
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Files) == 0 || len(s.Unread) > 0 {
			t.Errorf("%s: %d files, not read: %v", app, len(s.Files), s.Unread)
		}
	}
}

func TestBrokenFilesAreNamed(t *testing.T) {
	for _, text := range []string{"export const =", "<div>", "const a = ;"} {
		if _, err := ParseSource("a.tsx", []byte(text)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("ParseSource(%q) = %v, want the line", text, err)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	f.Add(page)
	f.Add("export default { providers: [] } satisfies X;")
	f.Add("for await (const x of y) { import('z') }")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSource("a.tsx", []byte(text)); err == nil {
			for _, e := range s.Elements {
				if e.Line < 0 {
					t.Fatal("a negative line")
				}
			}
		}
	})
}
