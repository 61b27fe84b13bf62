package tidemark_test

import (
	"regexp"
	"strings"
	"testing"
)

// languageRule finds one kind of sentence that readers stumble over.
type languageRule struct {
	name   string
	remedy string
	// found matches the words. Its first group, where it has one, is the part to report.
	found *regexp.Regexp
	// except matches the same words in a form that is plain.
	except *regexp.Regexp
	// question allows the words in a sentence with a question mark.
	question bool
}

// clauseStart matches the start of a sentence or of a main clause.
const clauseStart = `(?:^|[.!?:;][)"'*_]* +|, (?:and|but|so|or) )[("*_]*`

// The rules follow the pages that the project writes against: the Go standard library and the Google developer
// documentation style guide. Measured when they were written, in findings per 1,000 words of Go comments: net, os and
// encoding of the standard library, nats.go, nats-server and the Prometheus client 0.2 to 1.1, this repository 23.7.
// A new pattern has to keep that distance.
var languageRules = []languageRule{
	{
		name: "free relative", remedy: "make a component, a thing or the reader the subject",
		found:    regexp.MustCompile(clauseStart + `((?:[Ww]ho|[Ww]hat|[Ww]hose)\b)`),
		except:   regexp.MustCompile(`[Ww]hat(?:'s| if\b)`),
		question: true,
	},
	{
		name: "free relative", remedy: "name the thing: a noun in place of what or who",
		found: regexp.MustCompile(`\b(?:is|are|was|were|be|than|of|for|with|from|by|to|at|as|into|except|only|all|without|between) (?:what|who)\b`),
		except: regexp.MustCompile(`\bwhat (?:to|if|happens|happened|kind|version)\b|` +
			`(?:regardless|independent|list|description|definition|control|notion|record|track|idea|summary|question) of what\b|all who\b`),
		question: true,
	},
	{
		name: "free relative", remedy: "name the thing: a noun in place of what",
		found: regexp.MustCompile(`\b(?:reads?|writes?|takes?|took|gives?|gave|prints?|holds?|held|keeps?|returns?|has|have|had|passes|pass|sends?|` +
			`finds?|gets?|adds?|counts?|stops?|ends?|removes?|undoes|fills?|drops?|stores?|delivers?|loses|lost|refuses?|accepts?|does|do|` +
			`replaces?|closes?|follows?|skips?|runs?|starts?|serves?|needs?|parses?|repeats?|collects?|waits?|and|or|but|not|that) what\b`),
		except: regexp.MustCompile(`\bwhat (?:to|if|happens|happened|kind|version)\b`), question: true,
	},
	{
		name: "indefinite subject", remedy: "name the client, user, program or component",
		found: regexp.MustCompile(`\b(?:[Nn]obody|[Ss]omebody|[Ee]verybody|[Aa]nybody|[Nn]o one)(?:'s)?\b`),
	},
	{
		name: "indefinite subject", remedy: "repeat the noun",
		found:  regexp.MustCompile(clauseStart + `([Oo]ne (?:that|who|whose|which|is|was|has|had|without|with|may|can|must|in|at|from|for|to)|[Nn]one (?:is|are|was|has|can|may|must|will|that|comes?|needs?)|Someone|Everyone|Anyone)\b`),
		except: regexp.MustCompile(`\b[Oo]ne (?:for|in|to|at|from) (?:each|every|one|\d+)\b`),
	},
	{
		name: "indefinite subject", remedy: "repeat the noun",
		found:  regexp.MustCompile(`\bone (?:that|who|whose|without)\b`),
		except: regexp.MustCompile(`\b(?:[Tt]he|[Tt]his|that|only|[Ee]ach|[Ee]very|any|which|last|first|next|previous) one (?:that|who|whose|without)\b`),
	},
	{
		name: "is no X", remedy: `write "is not a"`,
		found: regexp.MustCompile(`\b(?:is|are|was|were) (?:no|none|nothing)\b`),
		except: regexp.MustCompile(`\b[Tt]here (?:is|are|was|were) (?:no|none|nothing)\b|` +
			`\bno (?:longer|more|less|fewer|larger|smaller|greater|later|earlier|higher|lower|better|different|other)\b`),
	},
	{
		name: "banned word", remedy: "use an ordinary word; CONTRIBUTING.md has the glossary",
		found: regexp.MustCompile(`(?i)\b(?:anew|afresh|for ever|heed(?:s|ed|ing)?|unheeded|whom|whoever|whosoever|whomever|a word (?:of|about|to|from)|without a word|` +
			`(?:comes?|came|becomes?|became) of|goes on|went on|of late|meanwhile|beside|` +
			`farewell|torment|harvest|swarm|crowd|` +
			`house rules?|the house|this house|the rooms?|room rules?|drawing|drawings|design cards?|the stand|the stand's)\b`),
		except: regexp.MustCompile(`(?i)\bbeside the point\b`),
	},
	{
		name: "human verb", remedy: "programs report, show, notify, return, distinguish",
		found: regexp.MustCompile(`(?i)\b(?:tells?|telling|told)\b`),
	},
	{
		name: "human verb", remedy: "programs receive, detect, trust, accept, expect, require, treat as",
		found: regexp.MustCompile(`(?i)\b(?:hears?|heard|hearing|believes?|believed|wishes|forgets|forgot|dislikes|trusting|learns|learnt|learned)\b`),
	},
	{
		name: "human verb", remedy: "programs request, query, call, require",
		found:  regexp.MustCompile(`(?i)\b(?:asks|asked|asking)\b`),
		except: regexp.MustCompile(`(?i)\b(?:users?|operators?|you|people|maintainers?|reviewers?) (?:who )?(?:asks|asked)\b|\bfrequently asked\b`),
	},
	{
		name: "human verb", remedy: "programs report, return, name, contain, state; documents and specifications may say",
		found: regexp.MustCompile(`\b(?:says|said|saying|say)\b`),
		except: regexp.MustCompile(`(?i)\b(?:RFC \d+|section [\d.]+|specification|spec|standard|document|documentation|documents|docs|page|manual|comment|WHATWG|HTML|` +
			`users?|operators?|you|people|maintainers?) (?:also |itself |only |can |should |must )?(?:says|said|say)\b`),
	},
	{
		name: "human verb", remedy: "programs have, hold, store, detect, can read, are configured with",
		found:  regexp.MustCompile(`\b(?:knows|knew)\b`),
		except: regexp.MustCompile(`\b(?:users?|operators?|you|people|readers?|maintainers?|callers?|programs?|applications?) (?:who |already |still )?(?:knows|knew)\b`),
	},
	{
		name: "human verb", remedy: "programs require, request, need, expect",
		found:  regexp.MustCompile(`\b(?:wants|wanted|wanting)\b`),
		except: regexp.MustCompile(`\b(?:users?|operators?|you|people|readers?|maintainers?|callers?|programs?|applications?|that|who) (?:who |really )?(?:wants|wanted)\b`),
	},
}

// languageFinding is a sentence to rewrite.
type languageFinding struct {
	file         string
	line         int
	rule, remedy string
	words        string // with their neighbours
}

var (
	sentenceEnd = regexp.MustCompile(`[.!?][)"'*_]*(?: |$)`)
	space       = regexp.MustCompile(`\s`)
)

// check applies the rules to a passage.
func (p passage) check() (all []languageFinding) {
	text := space.ReplaceAllString(p.text, " ")
	for _, rule := range languageRules {
		for _, at := range rule.found.FindAllStringSubmatchIndex(text, -1) {
			from, to := at[0], at[1]
			if len(at) > 2 && at[2] >= 0 {
				from, to = at[2], at[3]
			}
			if !rule.allows(text, from, to) {
				all = append(all, p.finding(rule.name, rule.remedy, from, to))
			}
		}
	}
	return all
}

func (r languageRule) allows(text string, from, to int) bool {
	if from == 0 && to == len(text) {
		return true // a heading of a column
	}
	if r.except != nil {
		for _, at := range r.except.FindAllStringIndex(text, -1) {
			if at[0] < to && from < at[1] {
				return true
			}
		}
	}
	if r.question {
		end := sentenceEnd.FindStringIndex(text[to:])
		return end != nil && text[to+end[0]] == '?'
	}
	return false
}

func (p passage) finding(rule, remedy string, from, to int) languageFinding {
	const around = 40
	start, end := max(0, from-around), min(len(p.text), to+around)
	return languageFinding{
		file: p.file, line: p.line + strings.Count(p.text[:from], "\n"), rule: rule, remedy: remedy,
		words: strings.Join(strings.Fields(strings.ToValidUTF8(p.text[start:end], "")), " "),
	}
}

// maxDocWords bounds the first sentence of a doc comment.
const maxDocWords = 20

var (
	relativeClause = regexp.MustCompile(`\b(?:which|who|whose|whom)\b|\bthat\b`)
	// conjunction matches uses of "that" which begin no relative clause.
	conjunction = regexp.MustCompile(`\b(?:so|such|sure|note|report|reports|reported|mean|means|ensure|ensures|require|requires|indicate|indicates|check|checks|` +
		`verify|verifies|show|shows|guarantee|guarantees|prove|proves|assert|asserts|confirm|confirms|state|states|after|before|like|than|of|to|from|in|for|with|by|on|at|is|and|if|when|while|whether|because|until) that\b|` +
		`\bthat (?:of|for|case|time|order|moment|way|much|many|long|point|range|value|position)\b`)
)

// checkDoc applies the form of doc comments: the first sentence begins with the name, has at most maxDocWords
// words, and has no relative clause.
func checkDoc(d docComment) (all []languageFinding) {
	report := func(rule, remedy string) {
		all = append(all, languageFinding{d.file, d.line, rule, remedy, d.sentence})
	}
	words := strings.Fields(d.sentence)
	first := 0
	if len(words) > 1 && (words[0] == "A" || words[0] == "An" || words[0] == "The") {
		first = 1
	}
	if d.named && (len(words) == 0 || strings.Trim(words[first], ".,:;()[]'") != d.name && strings.TrimSuffix(words[first], "'s") != d.name) {
		report("doc comment", "begin with the name "+d.name)
	}
	if len(words) > maxDocWords {
		report("doc comment", "shorten the first sentence to 20 words; move conditions and reasons to the next sentence")
	}
	if relativeClause.MatchString(conjunction.ReplaceAllString(d.sentence, "")) {
		report("doc comment", "split the first sentence at the relative clause")
	}
	return all
}

// The pairs are from the old and the new texts of this repository.
func TestLanguageRules_OldAndNewSentences_OldFoundNewNot(t *testing.T) {
	for _, pair := range [][2]string{
		{"what a client has is in its own position, what there is, is in JetStream", "Nodes are stateless: the client keeps its position and JetStream keeps the events"},
		{"nobody is dropped for being slow, and nobody waits for anybody", "Slow clients are neither disconnected nor allowed to delay others"},
		{"Whom nobody is told to be gets broadcasts alone", "A connection without a user receives broadcasts only"},
		{"A clean end is no end", "Reconnect also after a normal end of the response"},
		{"Who restarts a node forgets", "Revocations are kept in memory and are lost when the node restarts"},
		{"Whom none of them finds is answered 401", "If no source finds an identity, the server answers 401"},
		{"Slow is who has taken nothing for a second of what is ready", "A connection is slow when events have been ready for 1 s and the client accepted none"},
		{"Who says who is calling, asked in this order", "Authentication sources, tried in this order"},
		{"claim that is true for who may read who is connected", "claim that grants access to the presence API"},
		{"takes everybody for nobody in particular", "returns an anonymous identity for every request"},
		{"To call Poll or Fetch says that what either returned before was dealt with", "Calling Poll or Fetch acknowledges the previous delivery"},
		{"It is told once at once", "Notify calls w.Wake once before it returns"},
		{"heed passes a word of epoll on to whom it is about", "dispatch routes an epoll event to its connection"},
		{"What becomes of that, the first turn sees to", "The first turn handles errors and leftovers"},
		{"JetStream is asked again", "jetstream request failed; retrying"},
		{"what came as a revocation is none", "invalid revocation message; ignored"},
		{"who is connected here cannot be told to the others", "presence: update failed; other nodes see stale entries"},
		{"Who publishes is answered with 429", "The server rejects publishers that exceed the rate with 429"},
		{"The engine closes it. What is left is written before.", "The engine writes the remaining bytes, then closes the connection."},
		{"Filters are made anew at each connect", "Each connect computes the filters again"},
		{"It waits for ever beside the others", "It waits without a limit, as the others do"},
		{"One that is put off stays in the heap", "A postponed entry stays in the heap"},
		{"a position, and one that NATS has not stored", "a position beyond the end of the stream"},
		{"The node knows its users and asks NATS", "The node stores its users and queries NATS"},
	} {
		if found := (passage{text: pair[0]}).check(); len(found) == 0 {
			t.Errorf("no rule finds %q", pair[0])
		}
		for _, f := range (passage{text: pair[1]}).check() {
			t.Errorf("%q is plain, but found as %s: %s", pair[1], f.rule, f.words)
		}
	}
}

func TestLanguageRules_PlainUsesOfTheSameWords_NotFound(t *testing.T) {
	for _, text := range []string{
		"What happens when a node restarts?", "There is no position yet.", "There are none.", "The stream is no longer served.",
		"The specification says that an empty id resets the position.", "A user who wants all events sets the option.",
		"One goroutine runs the loop.", "One of the sources fails.", "The one that follows is live.", "Document what to do in this case.", "what",
	} {
		for _, f := range (passage{text: text}).check() {
			t.Errorf("%q found as %s: %s", text, f.rule, f.words)
		}
	}
}

func TestLanguageRules_DocComments_FormIsHeld(t *testing.T) {
	for sentence, want := range map[string]int{
		"Serve answers one request.":                    0,
		"A Serve answers one request.":                  0,
		"Serve reports that the listener is closed.":    0,
		"It answers one request.":                       1,
		"Serve answers the request that is next.":       1,
		"Serve answers a request, which it has parsed.": 1,
		"Serve " + strings.Repeat("very ", 20) + "long": 1,
	} {
		if found := checkDoc(docComment{name: "Serve", named: true, sentence: sentence}); len(found) != want {
			t.Errorf("%q: %d findings, want %d: %v", sentence, len(found), want, found)
		}
	}
}
