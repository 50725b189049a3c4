import KVSieveMethods
import TestSupport
import Testing

// The library against numpy: Tests/Golden computed these selections from the formulas, without the library.
@testable import KVSieveCore

extension GoldenCase {
    var elementType: ElementType {
        switch type {
        case .f32: return .float32
        case .f16: return .float16
        case .bf16: return .bfloat16
        }
    }

    func sequence() throws -> Sequence {
        let shape = try ModelShape(
            layers: model.layers, queryHeads: model.queryHeads, heads: model.heads, headDim: model.dim,
            scale: model.scale)
        let made = cache
        var sequence = Sequence(shape, tokens: tokens, rows: rows)
        sequence.queries = made.queries
        sequence.keys = made.keys
        sequence.values = made.values
        return sequence
    }

    /// Every parameter of the method is named, so that a default can change without a golden changing its meaning. The others are
    /// no part of a method.
    func namesEveryParameter(of method: AnyMethod) -> Bool {
        let others = ["threads", "align", "mass", "report", "coarse"]
        return method.row.parameters.allSatisfy { others.contains("\($0.name)") || parameters["\($0.name)"] != nil }
    }
}

@Suite struct GoldenTests {
    @Test(arguments: AnyMethod.all, Layout.allCases)
    func keepsWhatNumpyKeeps(_ method: AnyMethod, _ layout: Layout) throws {
        let cases = (try? GoldenCase.load(method.name)) ?? []
        #expect(!cases.isEmpty, "no golden file for \(method.name): add Tests/Golden/cases/\(method.name).py")
        for test in cases {
            #expect(test.namesEveryParameter(of: method), "\(test)")
            let kept = try test.sequence().kept(method, test.parameters, test.elementType, layout)
            #expect(kept == test.kept, "\(test)")
        }
    }
}
