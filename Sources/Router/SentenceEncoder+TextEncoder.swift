import DuetDocuments
import DuetRuntime

/// Documents can be ranked by a sentence encoder; neither module knows the other.
extension SentenceEncoder: TextEncoder {}
