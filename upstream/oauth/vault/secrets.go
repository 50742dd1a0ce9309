package vault

import "github.com/interlock-mcp/interlock/upstream/oauth"

// An oauth.Secret does not marshal. These are what entries hold: the same, with the
// secrets in fields that shadow those that do not.

type accountSecrets struct {
	oauth.Account
	Client                    registrationSecrets
	AccessToken, RefreshToken string
}

type registrationSecrets struct {
	oauth.Registration
	ClientSecret string
}

func secretsOf(a *oauth.Account) accountSecrets {
	return accountSecrets{*a, registrationSecrets{a.Client, string(a.Client.ClientSecret)}, string(a.AccessToken), string(a.RefreshToken)}
}

func (s *accountSecrets) account() *oauth.Account {
	a := s.Account
	a.Client = *s.Client.registration()
	a.AccessToken, a.RefreshToken = oauth.Secret(s.AccessToken), oauth.Secret(s.RefreshToken)
	return &a
}

func (s *registrationSecrets) registration() *oauth.Registration {
	r := s.Registration
	r.ClientSecret = oauth.Secret(s.ClientSecret)
	return &r
}
