// Parameters that several methods have: ids 100 ... 199. A method's own begin at 200 for the first, 300 for the second, ...
// Ids are pinned: never used again for something else.
import KVSieveCore

/// Greatest count of tokens a parameter may name.
let mostTokens = Double(Int32.max)

public enum Shared {
    public static let budget = Parameter(
        100, "budget", "KVSIEVE_BUDGET", 1024, 1...mostTokens, .whole, "C, tokens kept per layer and head")
    public static let ratio = Parameter(
        101, "ratio", "KVSIEVE_RATIO", 0.5, 0...1, .real, "share of the prompt's tokens kept, over a layer's heads")
    public static let window = Parameter(
        102, "window", "KVSIEVE_WINDOW", 32, 1...4096, .whole, "W, the last queries looked at")
    public static let poolKernel = Parameter(
        103, "pool_kernel", "KVSIEVE_POOL_KERNEL", 7, 1...63, .odd, "kernel of the pooling, odd; 1 is no pooling")
    public static let pool = Parameter(104, "pool", "KVSIEVE_POOL", 0, 0...1, .whole, "0 mean, 1 max")
    public static let threads = Parameter(
        105, "threads", "KVSIEVE_THREADS", 1, 1...256, .whole, "threads a call may use, the caller's among them")
    public static let decoding = Parameter(
        106, "decoding", "KVSIEVE_DECODING", 0, 0...1, .whole, "1: remember what kvsieve_plan_step needs")

    /// Those that every plan looks at.
    public static let plan = PlanParameters(threads: threads, decoding: decoding)
}
