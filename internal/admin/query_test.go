package admin

import (
	"strings"
	"testing"
)

func TestParseQuery_Parameters_AreKnownAndOccurOnce(t *testing.T) {
	for query, problem := range map[string]string{
		"":                              "",
		"user=a&access_token=x":         "",
		"user=a%20b":                    "",
		"user=a&user=b":                 "?user= is there more than once",
		"access_token=a&access_token=b": "?access_token= is there more than once",
		"node=a":                        "only ?user=, ?feed= and ?limit= are known here",
		"user=%zz":                      "the query cannot be read",
		"user=a;b":                      "the query cannot be read",
	} {
		var user, feed, limit string
		values, err := parseQuery(query, parameter{"user", &user}, parameter{"feed", &feed}, parameter{"limit", &limit}, parameter{"access_token", nil})
		if problem == "" {
			if err != nil || user != values.Get("user") {
				t.Errorf("%q: user %q, %v", query, user, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %v, want %q", query, err, problem)
		}
	}
}

func TestParseLimit_OutOfRange_IsRefused(t *testing.T) {
	for text, want := range map[string]int{"": 7, "1": 1, "10000": 10_000, "0": 0, "-1": 0, "10001": 0, "ten": 0} {
		got, err := parseLimit(text, 7)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestParseConnectionQuery_Values_AreChecked(t *testing.T) {
	q, err := parseConnectionQuery("user=a&feed=news&state=live&sort=id&after=7&limit=5")
	if want := (connectionQuery{user: "a", feed: "news", state: "live", sort: "id", after: 7, limit: 5}); err != nil || q != want {
		t.Errorf("%+v, %v, want %+v", q, err, want)
	}
	if q, err := parseConnectionQuery(""); err != nil || q.limit != 100 {
		t.Errorf("no query: %+v, %v", q, err)
	}
	for query, problem := range map[string]string{
		"sort=name": "?sort=", "state=ended": "?state=", "after=x": "?after=", "sort=user&after=7": "?after=", "limit=0": "?limit=", "node=n": "only ?user=",
	} {
		if _, err := parseConnectionQuery(query); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %v", query, err)
		}
	}
}
