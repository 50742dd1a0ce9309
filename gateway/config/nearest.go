package config

import "strings"

// nearest returns the word that was probably meant, "" if none is near: at most
// a third of its letters differ, and at most three.
func nearest(word string, words []string) string {
	best, least := "", 4
	plain := fold(word)
	for _, w := range words {
		if fold(w) == plain {
			return w
		}
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d < least && 3*d <= max(len(word), len(w)) {
			best, least = w, d
		}
	}
	return best
}

// fold removes what the spellings of one word differ in: startTimeout,
// start-timeout, start_timeout.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
}

// distance is the optimal string alignment distance: Levenshtein's, with a swap
// of neighbours as one change. Long words are cut, as no key is that long.
func distance(a, b string) int {
	const cut = 64
	a, b = a[:min(len(a), cut)], b[:min(len(b), cut)]
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// didYouMean is the mend of an unknown word.
func didYouMean(word string, words []string) string {
	if w := nearest(word, words); w != "" {
		return "did you mean " + quote(w) + "?"
	}
	return ""
}
