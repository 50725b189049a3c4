// A method's parameters as data: id, name, bounds, default, sentence. C, Python, header and README all read this.

public struct Parameter: Sendable {
    public enum Kind: Int32, Sendable { case real = 0, whole = 1, odd = 2 }

    public let id: Int32
    /// "pool_kernel"
    public let name: StaticString
    public let summary: StaticString
    public let initial: Double
    public let lowest: Double
    public let highest: Double
    public let kind: Kind

    public init(
        _ id: Int32, _ name: StaticString, _ initial: Double, _ bounds: ClosedRange<Double>, _ kind: Kind,
        _ summary: StaticString
    ) {
        self.id = id
        self.name = name
        self.summary = summary
        self.initial = initial
        lowest = bounds.lowerBound
        highest = bounds.upperBound
        self.kind = kind
    }

    /// The same parameter with another default, which is within its bounds then.
    public func initially(_ value: Double) -> Parameter {
        Parameter(id, name, value, min(lowest, value)...max(highest, value), kind, summary)
    }

    func check(_ value: Double) throws(KVSieveError) {
        // A NaN is in no range.
        guard value >= lowest, value <= highest else {
            throw KVSieveError(.parameter, "\(name) is \(text(value)); expected \(text(lowest)) ... \(text(highest))")
        }
        if kind == .real { return }
        guard value == value.rounded(.towardZero) else {
            throw KVSieveError(.parameter, "\(name) is \(value); expected a whole number")
        }
        guard kind == .whole || value.truncatingRemainder(dividingBy: 2) == 1 else {
            throw KVSieveError(.parameter, "\(name) is \(text(value)); expected an odd number")
        }
    }

    private func text(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}

/// The values of one plan, set or default.
public struct Settings: Sendable {
    private let parameters: [Parameter]
    private var values: [Double]

    public init(_ parameters: [Parameter]) {
        self.parameters = parameters
        values = parameters.map(\.initial)
    }

    /// The value of a parameter the method has; its default for one it does not have.
    public subscript(parameter: Parameter) -> Double {
        parameters.firstIndex { $0.id == parameter.id }.map { values[$0] } ?? parameter.initial
    }

    var count: Int { parameters.count }
    func parameter(_ index: Int) -> Parameter { parameters[index] }
    func value(_ index: Int) -> Double { values[index] }

    /// The default of a parameter in this method.
    public func initial(_ parameter: Parameter) -> Double {
        parameters.first { $0.id == parameter.id }?.initial ?? parameter.initial
    }

    /// A real number as the decimal that was written.
    public func share(_ parameter: Parameter) -> DecimalShare { DecimalShare(self[parameter]) }

    /// A whole number: bounds keep it within Int32.
    public func int(_ parameter: Parameter) -> Int { Int(self[parameter]) }

    /// - Parameter name: what a sentence calls a parameter that the method may not have.
    func get(
        _ id: Int32, of method: StaticString, _ name: (Int32) -> String = String.init
    ) throws(KVSieveError) -> Double {
        values[try index(id, method, name)]
    }

    mutating func set(
        _ id: Int32, _ value: Double, of method: StaticString, _ name: (Int32) -> String = String.init
    ) throws(KVSieveError) {
        let index = try index(id, method, name)
        try parameters[index].check(value)
        values[index] = value
    }

    private func index(
        _ id: Int32, _ method: StaticString, _ name: (Int32) -> String
    ) throws(KVSieveError) -> Int {
        guard let index = parameters.firstIndex(where: { $0.id == id }) else {
            let names = parameters.map { "\($0.name) (\($0.id))" }.joined(separator: ", ")
            throw KVSieveError(.parameter, "\(method) has no parameter \(name(id)); it has \(names)")
        }
        return index
    }
}
