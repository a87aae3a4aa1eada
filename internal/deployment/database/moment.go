package database

// Moment is all documents after one commit. It stays readable while it is kept.
type Moment struct {
	db *Database
	at *state
}

// Latest returns the documents after the latest commit.
func (db *Database) Latest() Moment { return Moment{db, db.latest()} }

// Timestamp returns the commit's.
func (m Moment) Timestamp() Timestamp { return m.at.ts }

// Begin returns a transaction that sees the moment.
func (m Moment) Begin() *Tx { return m.db.begin(m.at) }

// Tables returns the names and sizes (documents) of the tables.
func (m Moment) Tables() map[string]int {
	all := map[string]int{}
	for name, t := range m.at.tables {
		all[name] = t.indexes[byID].tree.Len()
	}
	return all
}
