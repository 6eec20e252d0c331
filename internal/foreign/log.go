package foreign

import "log/slog"

// LogAttr is the ReplaceAttr of every log handler: texts and errors are Lines. A JSON log escapes
// neither C1 controls nor bidirectional marks by itself.
func LogAttr(_ []string, attr slog.Attr) slog.Attr {
	switch value := attr.Value.Any().(type) {
	case string:
		attr.Value = slog.StringValue(Line(value))
	case error:
		attr.Value = slog.StringValue(Line(value.Error()))
	}
	return attr
}
