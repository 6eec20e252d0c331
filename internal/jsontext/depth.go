package jsontext

// Depth returns how deeply the objects and arrays of a JSON text are nested. It counts brackets
// outside strings in one pass, without allocation. The result is meaningless for text that is not
// JSON.
func Depth(raw []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}
