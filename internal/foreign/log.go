package foreign

import "log/slog"

// LogAttr is the ReplaceAttr of every log handler: texts and errors are Lines, also for a program that
// decodes a JSON log. Values of other types, such as lists, are left to the Writer of the handler.
func LogAttr(_ []string, attr slog.Attr) slog.Attr {
	switch value := attr.Value.Any().(type) {
	case string:
		attr.Value = slog.StringValue(Line(value))
	case error:
		attr.Value = slog.StringValue(Line(value.Error()))
	}
	return attr
}
