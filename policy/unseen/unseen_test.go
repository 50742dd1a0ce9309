package unseen

import (
	"encoding/json"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain ~ text": "plain ~ text",
		"naïve “é” 漢字 हिन्दी عربي 😀 ❤": "naïve “é” 漢字 हिन्दी عربي 😀 ❤",
		"a\tb\nc\x1b[1m\x7f":                   `a\u0009b\u000ac\u001b[1m\u007f`,
		"\u0085\u00a0\u00ad\u2028\u3000":       `\u0085\u00a0\u00ad\u2028\u3000`,
		"\u200b\u200d\u202e\u2066\ufeff":       `\u200b\u200d\u202e\u2066\ufeff`,
		"\ufe0f\U000e0100\u180b\u034f":         `\ufe0f\udb40\udd00\u180b\u034f`,
		"\U000e0041\U000f0000\ue000\U0010ffff": `\udb40\udc41\udb80\udc00\ue000\udbff\udfff`,
		"\u3164\u115f\u2800":                   `\u3164\u115f\u2800`,
		"\u0600":                               "\u0600", // a sign with a shape
		"a\xff\xe2\x80":                        `a\ufffd\ufffd\ufffd`,
		`\ and "`:                              `\ and "`,
	} {
		if got := Escape(text); got != want {
			t.Errorf("%+q: %s, want %s", text, got, want)
		}
	}
}

// Inside of JSON an escape says what the character said.
func TestAppendToJSON(t *testing.T) {
	const text = "a\u200b\U000e0041\u2028é\x7f"
	raw, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(Append(nil, raw), &got); err != nil || got != text {
		t.Errorf("%+q %v", got, err)
	}
}
