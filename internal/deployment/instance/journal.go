package instance

import "encoding/json"

// journal remembers where the pages of a query ended, so that running it again
// for a subscription gives the same pages however many documents they have by then.
type journal struct {
	before []string
	ends   []string
}

func readJournal(text *string) *journal {
	j := &journal{}
	if text != nil {
		_ = json.Unmarshal([]byte(*text), &j.before) // one that cannot be read is as good as none
	}
	return j
}

// next returns where the coming page ended before, or "".
func (j *journal) next() string {
	if len(j.ends) < len(j.before) {
		return j.before[len(j.ends)]
	}
	return ""
}

func (j *journal) ended(cursor string) { j.ends = append(j.ends, cursor) }

// written returns the journal for the next run, or nil for a query without pages.
func (j *journal) written() *string {
	if len(j.ends) == 0 {
		return nil
	}
	data, err := json.Marshal(j.ends)
	if err != nil {
		return nil
	}
	text := string(data)
	return &text
}
