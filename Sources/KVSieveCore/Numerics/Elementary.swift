// The platform's elementary functions, for the few numbers a method computes a row or a layer.
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

public func naturalLogarithm(_ x: Double) -> Double { log(x) }
public func naturalExponential(_ x: Double) -> Double { exp(x) }
func cosine(_ x: Double) -> Double { cos(x) }
func sine(_ x: Double) -> Double { sin(x) }
