module example.com/recite

go 1.26
