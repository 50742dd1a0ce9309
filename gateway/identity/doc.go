// Package identity tells who makes an HTTP request: it turns the credential of a
// request into a *policy.Principal, or says with which challenge it is refused.
//
// A credential is an API key of Interlock's own, or an access token (a JWT) of an
// issuer that the configuration names, made for this gateway. The gateway is the
// resource server of OAuth 2.1 and no more: it issues no tokens, follows the
// challenges of RFC 6750 and RFC 9728 as MCP asks for them (2025-11-25 and
// 2026-07-28 basic/authorization), and hands no credential on. Whatever it cannot
// check it does not let in: while an issuer's keys cannot be had, its tokens are
// answered with 503.
//
// An Authenticator is made of its configuration and never changes but for the keys
// of issuers and the tokens it has seen, which it keeps within bounds. It is safe
// for concurrent use. Its only goroutines are those of Run, which the caller owns.
// No text of this package, in an error, a log line or an answer, holds a credential.
package identity
