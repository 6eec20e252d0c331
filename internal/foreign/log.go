package foreign

import "log/slog"

// CleanLogAttr cleans the attributes of every log handler, as its ReplaceAttr function. It converts
// strings and errors by [CleanLine], so they are safe even after a program decodes a JSON log. The
// Writer of the handler cleans values of other types, such as lists.
func CleanLogAttr(_ []string, attr slog.Attr) slog.Attr {
	switch value := attr.Value.Any().(type) {
	case string:
		attr.Value = slog.StringValue(CleanLine(value))
	case error:
		attr.Value = slog.StringValue(CleanLine(value.Error()))
	}
	return attr
}
