// Walks the hosted pages without a browser: links, forms and redirects, with
// the cookies of one visitor. Scripts do not run, as the pages promise to need
// none.
import assert from "node:assert/strict";

const entities = { amp: "&", lt: "<", gt: ">", quot: '"', "#34": '"', "#39": "'", "#43": "+" };
const decode = (text) => text.replace(/&(#?\w+);/g, (all, name) => entities[name] ?? all);
const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`));
  return found && decode(found[1]);
};

export class Visitor {
  cookies = new Map();

  /** Opens a URL and follows redirects while they stay on its origin. */
  async open(url, init = {}) {
    const origin = new URL(url).origin;
    for (let hops = 0; hops < 10; hops++) {
      const response = await fetch(url, {
        ...init,
        redirect: "manual",
        headers: { accept: "text/html", cookie: [...this.cookies].map(([k, v]) => `${k}=${v}`).join("; "), ...init.headers },
      });
      for (const line of response.headers.getSetCookie()) {
        const [pair] = line.split(";");
        const cut = pair.indexOf("=");
        if (/max-age=0|max-age=-1/i.test(line)) this.cookies.delete(pair.slice(0, cut));
        else this.cookies.set(pair.slice(0, cut), pair.slice(cut + 1));
      }
      const location = response.headers.get("location");
      if (!location) {
        Object.assign(this, { url, status: response.status, html: await response.text(), left: undefined });
        return this;
      }
      await response.arrayBuffer();
      url = new URL(location, url).href;
      if (new URL(url).origin !== origin) {
        Object.assign(this, { url, status: response.status, html: "", left: new URL(url) });
        return this;
      }
      init = {};
    }
    throw new Error(`${url} redirects without end`);
  }

  /** Follows the link whose target has the path. */
  follow(path) {
    const tag = (this.html.match(/<a\s[^>]*>/g) ?? []).find((t) => new URL(attribute(t, "href"), this.url).pathname === path);
    assert.ok(tag, `no link to ${path} on ${this.url}`);
    return this.open(new URL(attribute(tag, "href"), this.url).href);
  }

  /** Fills the form that has all the fields, and sends it. */
  submit(fields) {
    const forms = this.html.match(/<form[\s\S]*?<\/form>/g) ?? [];
    const form = forms.find((f) => Object.keys(fields).every((name) => f.includes(`name="${name}"`)));
    assert.ok(form, `no form with ${Object.keys(fields)} on ${this.url}: ${this.html.slice(0, 2000)}`);
    const body = new URLSearchParams();
    for (const input of form.match(/<input\s[^>]*>/g) ?? []) body.set(attribute(input, "name"), attribute(input, "value") ?? "");
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    const action = attribute(form.match(/<form[^>]*>/)[0], "action");
    return this.open(new URL(action ?? this.url, this.url).href, { method: "POST", body, headers: { origin: new URL(this.url).origin } });
  }

  /** Signs in and returns the URL at the application. */
  async signIn(url, email, password) {
    await this.open(url);
    await this.submit({ email, password });
    assert.ok(this.left, `sign-in ends on ${this.url} with ${this.status}: ${this.html}`);
    return this.left;
  }
}
