// Every way to fail, with the sentence a user reads. The C status of a kind is KVSieveABI's business.

public struct KVSieveError: Error {
    /// Ranks tell each other the raw values.
    public enum Kind: Int, Sendable {
        case null, shape, layout, dtype, method, parameter, state, budget, nonfinite, memory
        /// A collective of the engine failed.
        case group
        /// The library computes what it must not.
        case broken
    }

    public let kind: Kind
    /// Names the argument, the value and what was expected.
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}
