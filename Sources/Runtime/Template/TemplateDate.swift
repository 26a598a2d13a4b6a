import FoundationEssentials

/// The date and time of day that `strftime_now` gives a template, in local time.
public struct TemplateDate: Sendable, Equatable {
  /// Of the Gregorian calendar.
  public var year: Int
  /// 1 to 12.
  public var month: Int
  /// 1 to 31.
  public var day: Int
  /// 0 to 23.
  public var hour = 0
  /// 0 to 59.
  public var minute = 0
  /// 0 to 60.
  public var second = 0

  /// A date of the Gregorian calendar.
  public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// The current local date and time.
  public static var now: TemplateDate {
    let parts = Calendar(identifier: .gregorian).dateComponents(
      [.year, .month, .day, .hour, .minute, .second], from: Date())
    return TemplateDate(
      year: parts.year ?? 1970, month: parts.month ?? 1, day: parts.day ?? 1, hour: parts.hour ?? 0,
      minute: parts.minute ?? 0, second: parts.second ?? 0)
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November",
    "December",
  ]
  private static let weekdays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  /// Days of the year before each month.
  private static let daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

  private var monthIndex: Int { min(max(month, 1), 12) - 1 }
  private var isLeap: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
  private var dayOfYear: Int { Self.daysBefore[monthIndex] &+ day &+ (isLeap && month > 2 ? 1 : 0) }

  /// 0 for Sunday, by Sakamoto's method.
  private var weekday: Int {
    let offsets = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]
    let year = min(max(year, 1), 9999) - (month < 3 ? 1 : 0)
    return (year + year / 4 - year / 100 + year / 400 + offsets[monthIndex] + min(max(day, 1), 31)) % 7
  }

  /// The date in a format of C's `strftime`, with English names.
  func formatted(_ format: String) throws(TemplateProblem) -> String {
    var result = ""
    var rest = format.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      let pads = rest.first != "-"
      if !pads { rest.removeFirst() }
      guard let letter = rest.popFirst(), let text = field(letter, pads: pads) else {
        throw .unsupported("the date format '\(format)'")
      }
      result += text
    }
    return result
  }

  private func field(_ letter: Unicode.Scalar, pads: Bool) -> String? {
    func digits(_ value: Int, _ width: Int, _ fill: String = "0") -> String {
      let text = "\(value)"
      return pads ? String(repeating: fill, count: max(0, width - text.utf8.count)) + text : text
    }
    switch letter {
    case "Y": return digits(year, 4)
    case "y": return digits(year % 100, 2)
    case "m": return digits(month, 2)
    case "d": return digits(day, 2)
    case "e": return digits(day, 2, " ")
    case "j": return digits(dayOfYear, 3)
    case "H": return digits(hour, 2)
    case "I": return digits((hour + 11) % 12 + 1, 2)
    case "M": return digits(minute, 2)
    case "S": return digits(second, 2)
    case "B": return Self.months[monthIndex]
    case "b", "h": return String(Self.months[monthIndex].prefix(3))
    case "A": return Self.weekdays[weekday]
    case "a": return String(Self.weekdays[weekday].prefix(3))
    case "p": return hour < 12 ? "AM" : "PM"
    case "w": return "\(weekday)"
    case "u": return "\(weekday == 0 ? 7 : weekday)"
    case "%": return "%"
    default: return composite(letter)
    }
  }

  private func composite(_ letter: Unicode.Scalar) -> String? {
    switch letter {
    case "F": try? formatted("%Y-%m-%d")
    case "T", "X": try? formatted("%H:%M:%S")
    case "D", "x": try? formatted("%m/%d/%y")
    case "R": try? formatted("%H:%M")
    case "c": try? formatted("%a %b %e %H:%M:%S %Y")
    case "n": "\n"
    case "t": "\t"
    default: nil
    }
  }
}
