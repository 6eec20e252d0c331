package journal

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

var reserveKey = []byte("reserve")

// ReserveSpace makes sure that the file has room for that many more bytes. It writes and deletes
// them, which leaves free pages in the file. An error gives the reason why the journal is not
// writable.
func (j *Journal) ReserveSpace(bytes int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(reserveKey, make([]byte, bytes)) })
	if err == nil {
		err = j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(reserveKey) })
	}
	if err != nil {
		return fmt.Errorf("reserve room in the journal: %w", err)
	}
	return nil
}
