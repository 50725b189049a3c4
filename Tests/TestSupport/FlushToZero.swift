// The modes of the processor that a host may have set.
import Foundation

/// Runs `body` with the processor's flush-to-zero and denormals-are-zero modes on, as a host may have them.
public func withSubnormalsFlushed<Result>(_ body: () throws -> Result) rethrows -> Result {
    #if arch(x86_64)
    var before = fenv_t()
    fegetenv(&before)
    defer { fesetenv(&before) }
    var flushing = before
    flushing.__mxcsr |= 0x8040
    fesetenv(&flushing)
    #endif
    return try body()
}
