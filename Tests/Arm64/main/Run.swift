// The program that runs the tests it is linked with, as SwiftPM would write it.
import Testing

@main struct Run {
    static func main() async { await Testing.__swiftPMEntryPoint() as Never }
}
