import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Archive of the current directory as Java's ZipOutputStream writes it by default: directories are deflated. */
class MakeFixtures {
    public static void main(String[] arguments) throws Exception {
        Path root = Path.of(".");
        List<Path> paths;
        try (var walk = Files.walk(root)) {
            paths = walk.filter(path -> !path.equals(root)).sorted().toList();
        }
        try (OutputStream file = Files.newOutputStream(Path.of(arguments[0], "java-stream.zip"));
                ZipOutputStream zip = new ZipOutputStream(file)) {
            for (Path path : paths) {
                boolean isDirectory = Files.isDirectory(path);
                zip.putNextEntry(new ZipEntry(root.relativize(path) + (isDirectory ? "/" : "")));
                if (!isDirectory) {
                    zip.write(Files.readAllBytes(path));
                }
                zip.closeEntry();
            }
        }
    }
}
