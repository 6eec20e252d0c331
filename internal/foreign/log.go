package foreign

import "log/slog"

// LogAttr cleans the attributes of every log handler, as its ReplaceAttr function. It converts
// strings and errors by [Line], so they are safe even after a program decodes a JSON log. The
// Writer of the handler cleans values of other types, such as lists.
func LogAttr(_ []string, attr slog.Attr) slog.Attr {
	switch value := attr.Value.Any().(type) {
	case string:
		attr.Value = slog.StringValue(Line(value))
	case error:
		attr.Value = slog.StringValue(Line(value.Error()))
	}
	return attr
}
