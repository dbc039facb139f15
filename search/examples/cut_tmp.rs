use mobilenas::images::*;
use mobilenas_space::families::*;
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let how = Preprocessing {
        crop_pct: a[2].parse().unwrap(),
        interpolation: if a[3] == "bilinear" { Interpolation::Bilinear } else { Interpolation::Bicubic },
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    for f in &a[4..] {
        let im = match decode(Path::new(f)) {
            Ok(i) => i,
            Err(e) => {
                println!("ERR {e}");
                continue;
            }
        };
        std::fs::write(format!("{f}.full.raw"), im.as_raw()).unwrap();
        let t = std::time::Instant::now();
        let c = Pipeline { side: a[1].parse().unwrap(), how }.cut(&im);
        std::fs::write(format!("{f}.cut.raw"), c.as_raw()).unwrap();
        println!("{f} {:?} resize {:?}", im.dimensions(), t.elapsed());
    }
}
