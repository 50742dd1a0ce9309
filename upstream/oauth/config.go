package oauth

// Config is how the gateway signs in to one remote upstream: its key auth. The zero
// value signs in with a person's browser if the server asks for OAuth. The koanf tags
// are the keys of the configuration file.
type Config struct {
	Flow Flow `koanf:"flow"`
	Per  Per  `koanf:"per"`
	// Issuer pins the authorization server; "" takes the one that the server names.
	// Credentials that were registered by hand belong to it.
	Issuer string `koanf:"issuer"`
	// ClientID and ClientSecret are a client that was registered by hand.
	ClientID     string `koanf:"client_id"`
	ClientSecret Secret `koanf:"client_secret"`
	// PrivateKey is the PEM file of a key with which the client proves who it is instead
	// of ClientSecret (private_key_jwt, RFC 7523).
	PrivateKey string `koanf:"private_key"`
	// ClientMetadata is the https address of a Client ID Metadata Document that
	// describes the client; it is its client id.
	ClientMetadata string `koanf:"client_id_metadata_document"`
	// Scopes are asked for instead of those that the server names.
	Scopes []string `koanf:"scopes"`
	// Token is a bearer token that was issued by hand, for the flow bearer.
	Token Secret `koanf:"token"`
	// Exchange asks the issuer for a token in exchange for the principal's own
	// (RFC 8693) before a person is asked.
	Exchange bool `koanf:"exchange"`
	// Networks are address ranges (CIDR) that sign-in may connect to besides public
	// ones, for an authorization server inside a company.
	Networks []string `koanf:"networks"`
}

// Flow is the way to a token.
type Flow string

// The flows. The empty one is AuthorizationCode where the server asks for it and no
// header Authorization is configured.
const (
	AuthorizationCode Flow = "authorization_code" // a person signs in (RFC 6749 section 4.1, PKCE)
	ClientCredentials Flow = "client_credentials" // the gateway is a service account (RFC 6749 section 4.4)
	Bearer            Flow = "bearer"             // Token as it is
	NoFlow            Flow = "none"               // a 401 is the end
)

// Per says whose sign-in a call uses.
type Per string

// PerGateway, the default, is one sign-in for all clients. PerPrincipal is one for
// each of server.auth's principals; the gateway's own makes the lists and probes.
const (
	PerGateway   Per = "gateway"
	PerPrincipal Per = "principal"
)
