// What an application gives the SDK so that somebody can sign in: it keeps the
// credentials in memory, and follows the redirects of the authorization server as a
// browser would whose user agrees to everything.
export class SignIn {
  redirectUrl = "http://127.0.0.1:1/callback";
  clientMetadata = {
    client_name: "e2e",
    application_type: "native",
    redirect_uris: [this.redirectUrl],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  information = { client_id: "app" };
  asked = []; // the scopes of each time somebody signed in
  callback; // the parameters of the redirect back, until they are taken

  clientInformation = () => this.information;
  saveClientInformation = (i) => void (this.information = i);
  tokens = () => this.kept;
  saveTokens = (t) => void (this.kept = t);
  codeVerifier = () => this.verifier;
  saveCodeVerifier = (v) => void (this.verifier = v);
  discoveryState = () => this.discovered;
  saveDiscoveryState = (d) => void (this.discovered = d);

  async redirectToAuthorization(url) {
    this.asked.push(url.searchParams.get("scope"));
    const cookies = new Map();
    for (let at = url, hops = 0; hops < 10; hops++) {
      const res = await fetch(at, { redirect: "manual", headers: { cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join("; ") } });
      for (const c of res.headers.getSetCookie()) {
        const [, name, value] = c.match(/^([^=]+)=([^;]*)/);
        cookies.set(name, value);
      }
      const next = res.headers.get("location");
      if (!next) throw new Error(`${at} answered ${res.status}: ${await res.text()}`);
      at = new URL(next, at);
      if (at.href.startsWith(this.redirectUrl)) {
        this.callback = at.searchParams;
        return;
      }
    }
    throw new Error("too many redirects");
  }

  // Does something, and once more if somebody had to sign in for it.
  async during(act, finish) {
    try {
      return await act();
    } catch (e) {
      if (!this.callback) throw e;
      const params = this.callback;
      this.callback = undefined;
      await finish(params);
      return act();
    }
  }
}
